"""Results as tables that do not mix what may be peeked at with what may not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.cli.control.result_comparisons import interval, number, print_comparisons
from services.cli.control.tables import (
    Columns,
    console,
    moment,
    percent,
    print_facts,
    print_heading,
    print_table,
)

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
    "value": lambda one: one["value"],
    "interval, at any time": lambda one: one["always"],
    "interval, once": lambda one: one["once"],
    "n": lambda one: one["n"],
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
        _print_metrics(figures(results["variants"]))
    comparisons = [one for one in results["comparisons"] if not goals_only or one["role"] == "goal"]
    print_comparisons(comparisons)
    _print_notes(results)


def _print_metrics(rows: list[Any]) -> None:
    if rows:
        print_heading("Metrics")
        print_table(_FIGURES, rows)


def figures(variants: Iterable[Any]) -> list[Any]:
    """Return a row for each metric of each variant, with what may be peeked at beside what may not."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for variant in variants:
        for one in variant["metrics"]:
            place = (one["metric"], variant["key"], one["statistic"])
            empty = {"variant": variant["key"], "value": None, "why": "", "n": None, "always": "", "once": ""}
            row = rows.setdefault(place, {"metric": one["metric"], "role": one["role"], **empty})
            _add_figure(row, one)
    return [{**row, "value": row["value"] or row["why"]} for row in rows.values()]


def _add_figure(row: dict[str, Any], one: Any) -> None:
    """One method's view of a metric. The value itself is the same by each of them."""
    if one["insufficient"]:
        row["why"] = row["why"] or one["insufficient"]
        return
    row["value"] = f"{number(one['value'])} {one['unit']}"
    row["n"] = one["n"]
    row["always" if one["may_be_peeked_at"] else "once"] = interval(one, number)


def _print_notes(results: Any) -> None:
    ratio = results["sample_ratio"]
    said = {one["insufficient"] for one in results["comparisons"]}
    needed = dict.fromkeys(one["sentence"] for one in results["still_needed"])
    notes = [("still needed", sentence) for sentence in needed if sentence not in said]
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
