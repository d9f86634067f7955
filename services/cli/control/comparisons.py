"""A shadow beside production, as tables."""

from __future__ import annotations

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

_RATES: Columns = {
    "rate": lambda one: one["name"],
    "value": lambda one: percent(one["rate"]),
    "interval": lambda one: one["insufficient"] or f"{percent(one['lower'])} … {percent(one['upper'])}",
    "of": lambda one: one["n"],
}
_MEASURES: Columns = {
    "measure": lambda one: f"{one['name']}, {one['unit']}",
    "production": lambda one: one["production_mean"],
    "shadow": lambda one: one["shadow_mean"],
    "difference": lambda one: one["difference"],
    "interval": lambda one: one["insufficient"] or f"{text(one['lower'])} … {text(one['upper'])}",
    "requests": lambda one: one["n"],
}
_NEWEST: Columns = {
    "at": lambda one: moment(one["at"]),
    "request": lambda one: one["request_id"],
    "match": lambda one: one["match"],
    "similarity": lambda one: one["similarity"],
    "production": lambda one: f"{one['production']['status']}, {one['production']['latency_seconds']:.3f} s",
    "shadow": lambda one: f"{one['shadow']['status']}, {one['shadow']['latency_seconds']:.3f} s",
}


def print_comparisons(body: Any) -> None:
    """Print the report, and the newest comparisons."""
    coverage, report = body["coverage"], body["report"]
    print_facts(
        [
            ("shadow", f"{body['shadow']} beside {body['production']}"),
            ("coverage", ", ".join(f"{n:,} {name}" for name, n in _counts(coverage))),
            ("shed because", ", ".join(f"{why}: {n:,}" for why, n in coverage["shed_because"].items())),
        ]
    )
    if body["no_comparisons"]:
        console().print(body["no_comparisons"])
    if report:
        print_heading("How alike the answers are, and how they end")
        print_table(_RATES, _rates(report))
        print_heading("The shadow beside production, over the same requests")
        print_table(_MEASURES, _measures(report))
    if body["items"]:
        print_heading("Newest comparisons")
        print_table(_NEWEST, body["items"])


def _counts(coverage: Any) -> list[tuple[str, int]]:
    return [(name.replace("_", " "), n) for name, n in coverage.items() if isinstance(n, int)]


def _rates(report: Any) -> list[Any]:
    match = report["match"]
    rates = {
        "same to the letter": match["exact"],
        "same but for form": match["normalised"],
        f"similar (≥ {match['similarity_threshold']:g})": match["similar"],
        "same tool calls": match["tool_calls"],
        "shadow was faster": report["shadow_faster"],
        "production's errors": report["production_error_rate"],
        "shadow's errors": report["shadow_error_rate"],
    }
    return [{"name": name, **rate} for name, rate in rates.items()]


def _measures(report: Any) -> list[Any]:
    names = ("latency", "completion_tokens", "cost")
    return [{"name": name.replace("_", " "), **report[name]} for name in names]
