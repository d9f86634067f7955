"""Results as people read them: no two rows alike, nothing said twice, nothing too wide to read."""

from typing import Any

import pytest

from services.cli.control.result_comparisons import by_method, missing_by_reason
from services.cli.control.results import figures, print_results

REASON = "treatment: no values are counted yet"
WIDEST = 140


def compared(metric: str = "cost", method: str = "sequential", **changes: Any) -> dict[str, Any]:
    always = method.endswith("sequential")
    return {
        "metric": metric, "role": "goal", "variant": "new", "comparison_to": "old",
        "statistic": "relative_difference", "method": method, "point": -0.1, "lower": -0.2, "upper": -0.05,
        "level": 0.95, "p_value": 0.01, "adjusted_p_value": None, "significant": True, "better": "lower",
        "n": 900, "may_be_peeked_at": always,
        "readable_from": "2026-11-23T19:18:42Z" if method == "fixed_horizon" else None,
        "exploratory": False, "insufficient": None,
    } | changes  # fmt: skip


def figure(method: str, lower: float, upper: float, **changes: Any) -> dict[str, Any]:
    return {
        "metric": "cost", "role": "goal", "statistic": "mean", "method": method, "value": 2.0, "lower": lower,
        "upper": upper, "level": 0.95, "n": 900, "unit": "USD", "may_be_peeked_at": method == "sequential",
        "insufficient": None,
    } | changes  # fmt: skip


def results(**changes: Any) -> dict[str, Any]:
    metrics = [figure("fixed_horizon", 1.9, 2.1), figure("sequential", 1.8, 2.2)]
    variant = {
        "units": 900, "requests": 900, "error_rate": 0.02, "latency_mean_seconds": 0.5,
        "satisfaction_rate": None, "metrics": metrics,
    }  # fmt: skip
    return {
        "experiment": "short-prompt", "phase": 1, "segment": None, "as_of": None, "no_results": None,
        "variants": [{**variant, "key": "old", "role": "control"},
                     {**variant, "key": "new", "role": "treatment"}],
        "comparisons": [], "still_needed": [], "sample_ratio": None, "data_quality": {}, "segments": [],
        "phases": [],
    } | changes  # fmt: skip


def test_a_metric_has_one_row_with_what_may_be_peeked_at_beside_what_may_not() -> None:
    rows = figures(results()["variants"])
    assert [(row["variant"], row["value"]) for row in rows] == [("old", "2 USD"), ("new", "2 USD")]
    assert {(row["always"], row["once"]) for row in rows} == {("1.8 … 2.2", "1.9 … 2.1")}


def test_a_metric_without_a_value_says_why() -> None:
    missing = {"value": None, "n": 0, "insufficient": "no values are counted yet"}
    metrics = [figure("fixed_horizon", 0.0, 0.0, **missing), figure("sequential", 0.0, 0.0, **missing)]
    (row,) = figures([{"key": "new", "metrics": metrics}])
    assert (row["value"], row["always"], row["once"]) == ("no values are counted yet", "", "")


def test_each_method_says_once_how_it_may_be_read() -> None:
    rows = [compared(method="bayesian"), compared(method="fixed_horizon"), compared(), compared("tokens")]
    assert {heading: len(of_one) for heading, of_one in by_method(rows).items()} == {
        "Comparisons beside old, sequential: may be looked at at any time": 2,
        "Comparisons beside old, fixed horizon: to be looked at once, from 2026-11-23T19:18:42Z": 1,
        "Comparisons beside old, bayesian: to be looked at once": 1,
    }


def test_what_is_missing_is_said_once_for_all_it_holds_for() -> None:
    methods = ("sequential", "fixed_horizon")
    rows = [
        compared(metric, method, statistic=statistic, insufficient=REASON)
        for metric in ("cost", "tokens")
        for method in methods
        for statistic in ("absolute_difference", "relative_difference")
    ]
    rows += [compared("rating", insufficient="too few"), compared("rating", "fixed_horizon")]
    assert missing_by_reason(rows) == [
        {"metrics": "cost, tokens", "variant": "new", "methods": "sequential, fixed horizon",
         "reason": REASON},
        {"metrics": "rating", "variant": "new", "methods": "sequential", "reason": "too few"},
    ]  # fmt: skip


def test_the_page_is_narrow_and_repeats_no_reason(capsys: pytest.CaptureFixture[str]) -> None:
    comparisons = [
        compared("satisfaction_rate", method, statistic=statistic)
        for method in ("sequential", "fixed_horizon")
        for statistic in ("absolute_difference", "relative_difference")
    ]
    comparisons += [compared(metric, insufficient=REASON) for metric in ("cost", "latency_mean", "rating")]
    needed = [{"sentence": REASON}, {"sentence": "nothing is missing"}, {"sentence": REASON}]
    print_results(results(comparisons=comparisons, still_needed=needed))
    page = capsys.readouterr().out
    assert page.count(REASON) == 1
    assert page.count("nothing is missing") == 1
    assert "adjusted p" not in page
    assert max(len(line.rstrip()) for line in page.splitlines()) <= WIDEST


def test_a_tiny_p_value_claims_no_more_than_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    print_results(results(comparisons=[compared(p_value=4.22e-12)]))
    page = capsys.readouterr().out
    assert "< 1e-11" in page
    assert "4.22" not in page
