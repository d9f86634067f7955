"""Results as tables that do not mix what may be peeked at with what may not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.cli.control.tables import (
    Columns,
    console,
    moment,
    percent,
    print_facts,
    print_heading,
    print_table,
    text,
)


def _readable(one: Any) -> str:
    whenever = "at any time" if one["may_be_peeked_at"] else "once"
    if not one["may_be_peeked_at"] and one["readable_from"]:
        whenever = f"once, from {moment(one['readable_from'])}"
    return f"{whenever}, exploratory" if one["exploratory"] else whenever


_VARIANTS: Columns = {
    "variant": lambda one: one["key"],
    "role": lambda one: one["role"],
    "units": lambda one: one["units"],
    "requests": lambda one: one["requests"],
    "error rate": lambda one: percent(one["error_rate"]),
    "mean latency": lambda one: _seconds(one["latency_mean_seconds"]),
    "satisfaction": lambda one: percent(one["satisfaction_rate"]),
}
_FIGURES: Columns = {
    "metric": lambda one: one["metric"],
    "role": lambda one: one["role"],
    "variant": lambda one: one["variant"],
    "value": lambda one: one["insufficient"] or f"{text(one['value'])} {one['unit']}",
    "interval": lambda one: _interval(one, text),
    "n": lambda one: one["n"],
}
_COMPARISONS: Columns = {
    "metric": lambda one: one["metric"],
    "role": lambda one: one["role"],
    "variant": lambda one: f"{one['variant']} beside {one['comparison_to']}",
    "method": lambda one: one["method"],
    "statistic": lambda one: one["statistic"].replace("_", " "),
    "value": lambda one: one["insufficient"] or _in_its_unit(one)(one["point"]),
    "interval": lambda one: _interval(one, _in_its_unit(one)),
    "p": lambda one: one["p_value"],
    "adjusted p": lambda one: one["adjusted_p_value"],
    "significant": lambda one: one["significant"],
    "read it": _readable,
}


def print_results(results: Any, *, goals_only: bool = False) -> None:
    """Print what an experiment found; ``goals_only`` leaves out what does not decide."""
    of_what = f" in {results['segment']}" if results["segment"] else ""
    as_of = f", as of {moment(results['as_of'])}" if results["as_of"] else ""
    print_heading(f"Results of {results['experiment']}, phase {results['phase']}{of_what}{as_of}")
    if results["no_results"]:
        console().print(results["no_results"])
    if any(one["units"] is not None for one in results["variants"]):
        print_table(_VARIANTS, results["variants"])
    if not goals_only:
        _print_section("Metrics", _FIGURES, _figures(results["variants"]))
    comparisons = [one for one in results["comparisons"] if not goals_only or one["role"] == "goal"]
    _print_section("Comparisons", _COMPARISONS, comparisons)
    _print_notes(results)


def _print_section(heading: str, columns: Columns, rows: list[Any]) -> None:
    if rows:
        print_heading(heading)
        print_table(columns, rows)


def _figures(variants: Iterable[Any]) -> list[Any]:
    return [{**figure, "variant": one["key"]} for one in variants for figure in one["metrics"]]


def _print_notes(results: Any) -> None:
    ratio = results["sample_ratio"]
    notes = [("still needed", needed["sentence"]) for needed in results["still_needed"]]
    if ratio:
        notes.append(("sample ratio", ratio["sentence"]))
    bad = {name: n for name, n in (results["data_quality"] or {}).items() if n and name != "feedback"}
    if bad:
        notes.append(
            ("data quality", ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in bad.items()))
        )
    if results["segments"]:
        notes.append(("--segment", ", ".join(results["segments"])))
    if len(results["phases"]) > 1:
        notes.append(("--phase", ", ".join(str(phase["phase"]) for phase in results["phases"])))
    if notes:
        console().print()
        print_facts(notes)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f} s"


def _in_its_unit(one: Any) -> Any:
    return percent if one["statistic"] in ("relative_difference", "chance_to_beat_control") else text


def _interval(one: Any, shown: Any) -> str:
    if one["lower"] is None and one["upper"] is None:
        return ""
    lower = "-∞" if one["lower"] is None else shown(one["lower"])
    upper = "∞" if one["upper"] is None else shown(one["upper"])
    return f"{lower} … {upper}"
