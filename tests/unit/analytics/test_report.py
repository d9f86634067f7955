"""Frames of the contract in, tidy frames out."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analytics import report
from analytics.buckets import BucketSums, bucketed_mean
from analytics.columns import TickCounts
from analytics.comparison import Comparison
from analytics.estimates import Effect
from analytics.evidence import promotion_evidence, rollback_evidence
from analytics.results import Insufficient
from analytics.sequential import sequential
from analytics.sketch import Sketch

ROW = {
    "metric": "cost",
    "segment": "",
    "statistic": "relative_difference",
    "variant": "new",
    "comparison_to": "old",
    "method": "sequential",
    "level": 0.95,
    "point": -0.1,
    "lower": -0.2,
    "upper": -0.05,
    "p_value": 0.001,
    "adjusted_p_value": None,
    "n": 100,
    "always_valid": True,
    "exploratory": False,
    "insufficient": None,
}


def rows(*changes: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame([{**ROW, **change} for change in changes])


def test_results_of_one_statistic_and_method() -> None:
    frame = rows({"metric": "tokens"}, {"method": "fixed_horizon"}, {"statistic": "mean"}, {"segment": "a=b"})
    tidy = report.results(frame, method="sequential")
    assert tidy["metric"].tolist() == ["tokens"]
    assert report.results(frame, segment=None)["segment"].tolist() == ["", "a=b", ""]


@pytest.mark.parametrize(
    ("lower", "upper", "clear"),
    [(-0.2, -0.1, True), (0.1, 0.2, True), (-0.1, 0.1, False), (None, None, False)],
)
def test_a_difference_is_clear_where_its_interval_leaves_out_0(
    lower: float | None, upper: float | None, clear: bool
) -> None:
    assert report.results(rows({"lower": lower, "upper": upper}))["clear"].tolist() == [clear]


def test_absolute_differences_are_only_for_metrics_without_a_relative_one() -> None:
    absolute = {"statistic": "absolute_difference"}
    p95 = {**absolute, "metric": "latency_p95"}
    found = report.absolute_only(
        rows({}, absolute, p95, {**p95, "method": "fixed_horizon"}), method="sequential"
    )
    assert found[["metric", "statistic", "method"]].to_numpy().tolist() == [
        ["latency_p95", "absolute_difference", "sequential"]
    ]
    assert not len(report.absolute_only(rows({}, absolute)))


def test_means_and_quantiles_stand_side_by_side() -> None:
    mean = {"statistic": "mean", "comparison_to": ""}
    table = report.means(
        rows(
            {**mean, "variant": "old", "point": 3.0},
            {**mean, "variant": "old", "point": 3.0, "method": "fixed_horizon"},
            {**mean, "variant": "new", "point": 2.0},
            {**mean, "variant": "new", "point": 9.0, "metric": "p95", "statistic": "quantile"},
        )
    )
    assert table.loc["cost", "old"] == 3.0
    assert table.loc["cost", "new"] == 2.0
    assert table.loc["p95", "new"] == 9.0


def test_the_course_is_in_order_and_of_one_metric() -> None:
    late, early = pd.Timestamp("2026-11-17", tz="UTC"), pd.Timestamp("2026-11-16", tz="UTC")
    frame = rows(
        {"recorded_at": late, "occasion": "hour"},
        {"recorded_at": early, "occasion": "hour"},
        {"recorded_at": early, "occasion": "hour", "metric": "tokens"},
        {"recorded_at": early, "occasion": "hour", "segment": "a=b"},
    )
    assert report.course(frame, metric="cost", variant="new")["recorded_at"].tolist() == [early, late]


def buckets(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for variant, mean in (("old", 3.0), ("new", 2.5)):
        bucket = rng.permutation(1_024)[:400]
        n = rng.integers(1, 20, 400)
        cost = pd.DataFrame({"bucket": bucket, "n": n, "total": n * rng.normal(mean, 0.3, 400)})
        units = pd.DataFrame({"bucket": bucket, "n": 1 + n // 4, "total": 0.0})
        parts += [
            cost.assign(variant_key=variant, column_key="cost", segment=""),
            units.assign(variant_key=variant, column_key="units", segment=""),
            cost.assign(variant_key=variant, column_key="cost", segment="tier=pro", total=0.0),
        ]
    return pd.concat(parts, ignore_index=True)


def test_bucket_sums_per_request_and_per_unit() -> None:
    frame = buckets(1)
    mine = frame[(frame["variant_key"] == "new") & (frame["segment"] == "")]
    cost, units = mine[mine["column_key"] == "cost"], mine[mine["column_key"] == "units"]
    by_request = report.bucket_sums(frame, "cost", "new")
    assert by_request.total_n == cost["n"].sum()
    assert by_request.total == pytest.approx(cost["total"].sum())
    by_unit = report.bucket_sums(frame, "cost", "new", per="unit")
    assert by_unit.total_n == units["n"].sum()
    assert by_unit.total == pytest.approx(cost["total"].sum())


def test_what_lies_in_a_bucket_without_units_counts_for_nobody() -> None:
    frame = buckets(2)
    emptied = frame[~((frame["column_key"] == "units") & (frame["bucket"] == frame["bucket"].iloc[0]))]
    sums = report.bucket_sums(emptied, "cost", "old", per="unit")
    assert sums.s[frame["bucket"].iloc[0]] == 0.0


def test_a_comparison_is_recomputed_from_the_buckets() -> None:
    frame = buckets(3)

    def of(variant: str) -> BucketSums:
        part = frame[
            (frame["variant_key"] == variant) & (frame["column_key"] == "cost") & (frame["segment"] == "")
        ]
        return BucketSums.from_rows(part["bucket"].to_numpy(), part["n"], part["total"])

    found = report.recomputed(frame, "cost", treatment="new", control="old")
    expected = sequential(bucketed_mean(of("new")), bucketed_mean(of("old")), effect=Effect.RELATIVE)
    assert found["sequential"] == expected
    assert isinstance(found["fixed_horizon"], Comparison)
    assert isinstance(
        report.recomputed(frame, "nothing", treatment="new", control="old")["sequential"], Insufficient
    )


def test_a_ratio_is_recomputed_as_it_was_computed() -> None:
    """Its clock are the numerator's values, and what nothing divides is in it."""
    random = np.random.default_rng(9)
    parts, expected = [], {}
    for variant in ("old", "new"):
        requests, cost = random.poisson(4.0, 300) + 1, random.gamma(2.0, 1.0, 300)
        tokens = np.where(random.random(300) < 0.2, 0, random.poisson(200.0, 300))
        given = {
            "error": (requests, 0 * requests),
            "cost": (requests, cost),
            "completion_tokens": (requests, tokens),
        }
        for column, (n, total) in given.items():
            frame = pd.DataFrame({"bucket": np.arange(300), "n": n, "total": total})
            parts.append(frame.assign(variant_key=variant, column_key=column, segment=""))
        for per, divided_by in (("completion_tokens", tokens), ("requests", requests)):
            sums = BucketSums.of(divided_by, cost)
            expected[variant, per] = bucketed_mean(sums, sample_size=float(requests.sum()))
    for per in ("completion_tokens", "requests"):
        found = report.recomputed(pd.concat(parts), "cost", treatment="new", control="old", per=per)
        by_hand = sequential(expected["new", per], expected["old", per], effect=Effect.RELATIVE)
        always = found["sequential"]
        assert isinstance(by_hand, Comparison)
        assert isinstance(always, Comparison)
        assert (always.point, always.lower, always.upper) == pytest.approx(
            (by_hand.point, by_hand.lower, by_hand.upper), rel=1e-12
        )


@pytest.mark.parametrize("column", ["error", "yes:feedback:solved", "units_with:error"])
def test_shares_with_few_events_are_not_recomputed_into_a_comparison(column: str) -> None:
    bucket = np.arange(300)
    frame = pd.concat(
        [
            pd.DataFrame({"bucket": bucket, "n": 3, "total": (bucket < 4).astype(float)}).assign(
                variant_key=variant, column_key=name, segment=""
            )
            for variant in ("old", "new")
            for name in (column, "cost")
        ]
    )
    of_share = report.recomputed(frame, column, treatment="new", control="old")["sequential"]
    assert isinstance(of_share, Insufficient)
    assert "5 needed" in of_share.reason
    absolute = report.recomputed(frame, "cost", treatment="new", control="old", effect=Effect.ABSOLUTE)
    assert isinstance(absolute["sequential"], Comparison)


def test_a_mismatch_of_the_sample_ratio_is_found() -> None:
    ratio = {"statistic": "sample_ratio", "metric": "", "comparison_to": ""}
    assert report.sample_ratio_mismatch(rows({}, {**ratio, "p_value": 0.0009})) == 0.0009
    assert report.sample_ratio_mismatch(rows({"p_value": 0.0}, {**ratio, "p_value": 0.002})) is None
    assert report.sample_ratio_mismatch(rows({**ratio, "p_value": None})) is None
    assert report.sample_ratio_mismatch(rows({})) is None


def canary(minutes: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    frame = []
    for minute in range(minutes):
        share_bp = 0 if minute < 2 else 1_000 if minute < 15 else 2_500
        for role, share in (("control", 10_000 - share_bp), ("treatment", share_bp)):
            requests = int(rng.poisson(0.03 * share))
            errors = int(rng.binomial(requests, 0.05 if role == "treatment" else 0.01))
            frame.append(
                {
                    "tick": 29_900_000 + minute,
                    "minute": pd.Timestamp((29_900_000 + minute) * 60, unit="s", tz="UTC"),
                    "treatment_share_bp": share_bp,
                    "role": role,
                    "requests": requests,
                    "errors": errors,
                    "first_errors": errors,
                    "first_requests": requests,
                    "first_request_errors": errors,
                }
            )
    return pd.DataFrame(frame)


def test_the_evidence_of_a_canary_ends_where_its_evaluation_does() -> None:
    frame = canary()
    found = report.canary_evidence(frame, planned_minutes=60)
    assert isinstance(found, pd.DataFrame)
    compared = frame[frame["treatment_share_bp"] > 0]
    counts = [
        TickCounts(
            row.tick,
            row.treatment_share_bp / 10_000,
            row.errors * (row.role == "treatment"),
            row.errors * (row.role == "control"),
            row.requests - row.errors,
        )
        for row in compared.itertuples()
    ]
    worse = rollback_evidence(counts, first_tick=29_900_000, planned_ticks=60, alpha=0.01)
    not_worse = promotion_evidence(counts, alpha=0.025, margin=0.02)
    assert not isinstance(worse, Insufficient)
    assert not isinstance(not_worse, Insufficient)
    last = found.iloc[-1]
    assert last["worse"] == pytest.approx(worse.log_e_value / np.log(10.0))
    assert last["not_worse"] == pytest.approx(not_worse.log_e_value / np.log(10.0))
    assert last["share"] == 0.25
    assert found["minute"].iloc[0] == frame["minute"].iloc[4]


def test_the_evidence_is_that_of_the_guardrails_margin_and_the_phases_start() -> None:
    frame = canary()
    given = {"planned_minutes": 60, "margin_rollback": 0.01, "first_tick": 29_899_940}
    found, plain = (report.canary_evidence(frame, **more) for more in (given, {"planned_minutes": 60}))
    assert isinstance(found, pd.DataFrame)
    assert isinstance(plain, pd.DataFrame)
    rows = frame[frame["treatment_share_bp"] > 0]
    worse = rollback_evidence(
        report._first_errors(rows), first_tick=29_899_940, planned_ticks=60, alpha=0.01, margin=0.01
    )
    assert not isinstance(worse, Insufficient)
    assert found["worse"].iloc[-1] == pytest.approx(worse.log_e_value / np.log(10.0))
    assert found["worse"].iloc[-1] < plain["worse"].iloc[-1]


def test_a_canary_that_never_served_has_no_evidence() -> None:
    assert isinstance(report.canary_evidence(canary(2), planned_minutes=60), Insufficient)
    assert report.canary_difference(canary(2)).empty


def test_the_interval_of_the_difference_narrows() -> None:
    found = report.canary_difference(canary(), points=7)
    assert len(found) == 7
    width = found["upper"] - found["lower"]
    assert width.iloc[-1] < width.iloc[0] / 3
    assert ((found["lower"] < 0.04) & (found["upper"] > 0.04)).all()


def test_rates_roll_over_a_window() -> None:
    frame = canary()
    rates = report.error_rates(frame, window_minutes=5)
    last = frame[(frame["tick"] > frame["tick"].max() - 5) & (frame["role"] == "control")]
    assert rates["control"].iloc[-1] == pytest.approx(last["errors"].sum() / last["requests"].sum())
    assert np.isnan(rates["treatment"].iloc[0])
    only_control = report.error_rates(frame[frame["role"] == "control"])
    assert only_control["treatment"].isna().all()


def test_the_distribution_is_that_of_the_values() -> None:
    rng = np.random.default_rng(5)
    seconds = np.exp(rng.normal(0.0, 0.5, 5_000))
    parts = [Sketch.of(half) for half in np.split(seconds, 2)]
    frame = pd.concat(
        [
            pd.DataFrame({"cell": part.cells, "count": part.counts, "replicate": place})
            for place, part in enumerate(parts)
        ]
    ).assign(variant_key="old", segment="", source="latency")
    found = report.distribution(frame)
    assert found["seconds"].is_monotonic_increasing
    for level in (0.1, 0.5, 0.95):
        at = found["seconds"][(found["level"] >= level).idxmax()]
        assert at == pytest.approx(np.quantile(seconds, level), rel=0.03)
    assert found["level"].iloc[-1] == 1.0
    assert report.distribution(frame, source="first_token").empty


def test_problems_are_what_does_harm() -> None:
    quality = pd.DataFrame(
        [
            ("missing", 4, 1_000.0, 0.004),
            ("duplicate", 900, 1_000.0, 0.9),
            ("dead_lettered", 1, 100_000.0, 1e-5),
            ("lost_records", 7, np.nan, np.nan),
            ("multiply_exposed", 0, 1_000.0, 0.0),
        ],
        columns=["kind", "n", "out_of", "fraction"],
    )
    assert report.problems(quality)["kind"].tolist() == ["lost_records", "missing"]


@pytest.mark.parametrize(
    "read",
    [
        report.results,
        report.absolute_only,
        report.means,
        report.sample_ratio_mismatch,
        report.error_rates,
        report.canary_difference,
        report.distribution,
        lambda frame: report.course(frame, metric="cost", variant="new"),
        lambda frame: report.bucket_sums(frame, "cost", "new"),
        lambda frame: report.recomputed(frame, "cost", treatment="new", control="old"),
        lambda frame: report.canary_evidence(frame, planned_minutes=60),
    ],
)
def test_phases_are_not_read_as_one(read: Callable[[pd.DataFrame], object]) -> None:
    frame = pd.DataFrame({"phase": [2, 1, 2]})
    with pytest.raises(ValueError, match="has the phases 1, 2, each of which") as refused:
        read(frame)
    assert str(refused.value).endswith('choose one, as in frame[frame["phase"] == 2]')


def test_one_phase_is_read_and_rows_without_one_are_no_phase() -> None:
    frame = rows({"phase": 2}, {"phase": None, "metric": "tokens"})
    assert report.results(frame)["metric"].tolist() == ["cost", "tokens"]
