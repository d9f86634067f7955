"""Comparisons of variants as tables: one for each method, so that each says once when it may be read.

Where there is no number the reason is said once, for all the metrics and methods it holds for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.cli.control.tables import Columns, moment, percent, print_heading, print_table, text

SMALLEST_PROBABILITY = 1e-11

_METHODS = ("exact_sequential", "sequential", "fixed_horizon", "bayesian")
"""What may be looked at at any time comes first."""

_COLUMNS: Columns = {
    "metric": lambda one: one["metric"],
    "role": lambda one: one["role"],
    "variant": lambda one: one["variant"],
    "statistic": lambda one: one["statistic"].replace("_", " "),
    "value": lambda one: _shown(one)(one["point"]),
    "interval": lambda one: interval(one, _shown(one)),
    "p": lambda one: _probability(one["p_value"]),
    "adjusted p": lambda one: _probability(one["adjusted_p_value"]),
    "significant": lambda one: one["significant"],
}
_MISSING: Columns = {
    "metrics": lambda one: one["metrics"],
    "variant": lambda one: one["variant"],
    "methods": lambda one: one["methods"],
    "why there is no number": lambda one: one["reason"],
}


def print_comparisons(comparisons: Iterable[Any]) -> None:
    """Print a table for each method, and after them what could not be compared, and why."""
    rows = list(comparisons)
    for heading, of_one in by_method(rows).items():
        print_heading(heading)
        print_table(_columns_of(of_one), of_one)
    missing = missing_by_reason(rows)
    if missing:
        print_heading("Not compared yet")
        print_table(_MISSING, missing)


def by_method(rows: Iterable[Any]) -> Mapping[str, list[Any]]:
    """Return the comparisons that have a number, by a heading that says how and when they may be read."""
    found: dict[str, list[Any]] = {}
    for one in sorted((one for one in rows if not one["insufficient"]), key=_place):
        found.setdefault(_heading(one), []).append(one)
    return found


def missing_by_reason(rows: Iterable[Any]) -> list[dict[str, str]]:
    """Return the comparisons without a number: a row for each reason of a variant, with its metrics."""
    metrics: dict[tuple[str, str, str], list[str]] = {}
    for one in sorted((one for one in rows if one["insufficient"]), key=_place):
        named = metrics.setdefault((one["variant"], one["insufficient"], one["method"]), [])
        if one["metric"] not in named:
            named.append(one["metric"])
    methods: dict[tuple[str, str, str], list[str]] = {}
    for (variant, reason, method), named in metrics.items():
        methods.setdefault((variant, reason, ", ".join(named)), []).append(_words(method))
    return [
        {"variant": variant, "reason": reason, "metrics": named, "methods": ", ".join(used)}
        for (variant, reason, named), used in methods.items()
    ]


def interval(one: Any, shown: Any) -> str:
    """Return an interval as a person reads it, or nothing where there is none."""
    if one["lower"] is None and one["upper"] is None:
        return ""
    lower = "-∞" if one["lower"] is None else shown(one["lower"])
    upper = "∞" if one["upper"] is None else shown(one["upper"])
    return f"{lower} … {upper}"


def number(value: float | None) -> str:
    """Return a number with the digits that say something."""
    return "–" if value is None else f"{value:,.4g}"


def _columns_of(rows: list[Any]) -> Columns:
    """The columns in which there is something to read."""
    nothing = {"", text(None)}
    return {
        title: cell for title, cell in _COLUMNS.items() if any(text(cell(one)) not in nothing for one in rows)
    }


def _place(one: Any) -> tuple[int, str]:
    method = one["method"]
    return (_METHODS.index(method) if method in _METHODS else len(_METHODS), method)


def _heading(one: Any) -> str:
    beside = f" beside {one['comparison_to']}" if one["comparison_to"] else ""
    exploratory = "; exploratory" if one["exploratory"] else ""
    return f"Comparisons{beside}, {_words(one['method'])}: {_when(one)}{exploratory}"


def _when(one: Any) -> str:
    if one["may_be_peeked_at"]:
        return "may be looked at at any time"
    if one["readable_from"]:
        return f"to be looked at once, from {moment(one['readable_from'])}"
    return "to be looked at once"


def _words(method: str) -> str:
    return method.replace("_", " ")


def _shown(one: Any) -> Any:
    return percent if one["statistic"] in ("relative_difference", "chance_to_beat_control") else number


def _probability(value: float | None) -> str:
    if value is None:
        return text(None)
    return f"< {SMALLEST_PROBABILITY:g}" if value < SMALLEST_PROBABILITY else f"{value:.3g}"
