"""Results for people: frames of the SQL contract in, tidy frames for tables and figures out.

Nothing here reads a database. Every argument is a frame with the columns of the table or view it is named
after (docs/tables.md), of one experiment and phase; `headgate report` makes them, as does
`pandas.read_sql`. Each phase is a result of its own: of several at once they raise ValueError.
`analytics.plots` draws what comes out.
"""

import numpy as np
import pandas as pd

from analytics.buckets import BucketSums, bucketed_mean, too_few_events
from analytics.columns import TickCounts
from analytics.comparison import Comparison, fixed_horizon
from analytics.difference import difference_interval
from analytics.estimates import Effect, Estimate
from analytics.evidence import promotion_path, rollback_path
from analytics.results import Insufficient
from analytics.sample_ratio import THRESHOLD
from analytics.sequential import sequential
from analytics.sketch import Sketch, cell_values

BASIS_POINTS = 10_000

_IDENTITY = ["metric", "segment", "variant", "comparison_to", "statistic", "method"]
_NUMBERS = ["point", "lower", "upper", "level", "p_value", "adjusted_p_value", "n"]
_KIND = ["always_valid", "exploratory", "insufficient"]


def results(
    experiment_results: pd.DataFrame,
    *,
    statistic: str = "relative_difference",
    method: str | None = None,
    segment: str | None = "",
) -> pd.DataFrame:
    """The results of one statistic, a row for each metric and variant.

    Args:
        experiment_results: as the table.
        statistic: which one.
        method: keep this one only; by default all.
        segment: keep this one only, '' being everything; None for all of them.

    Returns:
        The identifying columns, the numbers as floats, and `clear`: whether the interval leaves out 0.
        Where a number is missing, `insufficient` says why, and `clear` is False.
    """
    rows = _of_one_phase(experiment_results)
    rows = rows[rows["statistic"] == statistic]
    if method is not None:
        rows = rows[rows["method"] == method]
    if segment is not None:
        rows = rows[rows["segment"] == segment]
    tidy = rows[[*_IDENTITY, *_NUMBERS, *_KIND]].copy()
    tidy[_NUMBERS] = tidy[_NUMBERS].astype(np.float64)
    tidy["clear"] = (tidy["lower"] > 0.0) | (tidy["upper"] < 0.0)
    return tidy.sort_values(_IDENTITY, ignore_index=True)


def absolute_only(experiment_results: pd.DataFrame, *, method: str | None = None) -> pd.DataFrame:
    """The absolute differences of metrics that have no relative one, such as quantiles.

    The same columns as `results`; numbers are in the metric's unit.
    """
    absolute = results(experiment_results, statistic="absolute_difference", method=method)
    relative = results(experiment_results, statistic="relative_difference")
    return absolute[~absolute["metric"].isin(relative["metric"])].reset_index(drop=True)


def means(experiment_results: pd.DataFrame, *, segment: str = "") -> pd.DataFrame:
    """The mean, or quantile, of every metric (rows) in every variant (columns), in the metric's unit."""
    of_one = [
        results(experiment_results, statistic=statistic, segment=segment)
        for statistic in ("mean", "quantile")
    ]
    # A mean is the same whatever is concluded from it.
    rows = pd.concat(of_one).drop_duplicates(["metric", "variant"])
    return rows.pivot(index="metric", columns="variant", values="point")


def course(
    experiment_results_history: pd.DataFrame,
    *,
    metric: str,
    variant: str,
    statistic: str = "relative_difference",
    method: str = "sequential",
) -> pd.DataFrame:
    """What was seen of one metric over time: an interval at each moment that was kept.

    Returns:
        Columns recorded_at (increasing), point, lower, upper, level, n, always_valid, occasion.
    """
    history = _of_one_phase(experiment_results_history)
    wanted = {"metric": metric, "variant": variant, "statistic": statistic, "method": method, "segment": ""}
    kept = history[(history[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    columns = ["recorded_at", "point", "lower", "upper", "level", "n", "always_valid", "occasion"]
    return kept[columns].sort_values("recorded_at", ignore_index=True)


def bucket_sums(
    metric_buckets: pd.DataFrame, column: str, variant: str, *, per: str = "request", segment: str = ""
) -> BucketSums:
    """The sums of one column in one variant, ready for `analytics.buckets.bucketed_mean`.

    Args:
        metric_buckets: as the view.
        column: its column_key, or "requests".
        variant: its variant_key.
        per: "request" to divide by the values there are, "unit" to divide by exposed units; for a ratio the
            column it divides by, or "requests".
        segment: '' being everything.
    """
    rows = _of_one_phase(metric_buckets)
    rows = rows[(rows["variant_key"] == variant) & (rows["segment"] == segment)]
    sums = _column(rows, column)
    if per == "request":
        return sums
    if per == "unit":
        exposed = _column(rows, "units")
        return BucketSums(exposed.n, np.where(exposed.n > 0.0, sums.s, 0.0))
    return BucketSums(_column(rows, per).s, sums.s)


def _column(rows: pd.DataFrame, column: str) -> BucketSums:
    """A column's number of values and their sum; of requests, each of which is 1, both are their number."""
    found = rows[rows["column_key"] == ("error" if column == "requests" else column)]
    n = found["n"].to_numpy()
    total = n if column == "requests" else found["total"].to_numpy()
    return BucketSums.from_rows(found["bucket"].to_numpy(np.int64), n, total)


def recomputed(
    metric_buckets: pd.DataFrame,
    column: str,
    *,
    treatment: str,
    control: str,
    per: str = "request",
    segment: str = "",
    alpha: float = 0.05,
    effect: Effect = Effect.RELATIVE,
) -> dict[str, Comparison | Insufficient]:
    """Compare two variants from the bucket sums alone, by method: what the stored results should say.

    Args:
        metric_buckets: as the view.
        column: the metric's column_key.
        treatment: a variant_key.
        control: the variant_key it is compared to.
        per: as in `bucket_sums`.
        segment: '' being everything.
        alpha: the probability that an interval misses, in (0, 1).
        effect: relative to the control's mean, or absolute.
    """

    def estimate(variant: str) -> Estimate | Insufficient:
        sums = bucket_sums(metric_buckets, column, variant, per=per, segment=segment)
        if per not in ("request", "unit"):
            values = bucket_sums(metric_buckets, column, variant, segment=segment)
            return bucketed_mean(sums, sample_size=max(values.total_n, 1.0))
        return (too_few_events(sums) if _is_share(column) else None) or bucketed_mean(sums)

    of_treatment, of_control = estimate(treatment), estimate(control)
    return {
        "sequential": sequential(of_treatment, of_control, alpha=alpha, effect=effect),
        "fixed_horizon": fixed_horizon(of_treatment, of_control, alpha=alpha, effect=effect),
    }


def _is_share(column: str) -> bool:
    """Whether a column counts how often something is true."""
    return column in ("error", "content_filter") or column.startswith(("yes:", "units_with:"))


def canary_evidence(
    canary_health_by_minute: pd.DataFrame,
    *,
    planned_minutes: int,
    margin_rollback: float = 0.0,
    margin_promote: float = 0.02,
    first_tick: int | None = None,
) -> pd.DataFrame | Insufficient:
    """How the evidence about a canary's errors grew, minute by minute.

    It is that of the decisions where the arguments are those of the definition.

    Args:
        canary_health_by_minute: as the view, of one phase.
        planned_minutes: the phase's planned duration, over which the test re-arms: the plan's
            planned_duration_minutes for the ramp, its watch_minutes for the watch.
        margin_rollback: δ of the guardrail on errors.
        margin_promote: δ of the promotion test.
        first_tick: the minute the phase began in, since 1970; by default the first one with requests.

    Returns:
        Columns minute, share (of the treatment, the last in that minute), worse and not_worse (E-values on
        base-10 logarithms, of the exact tests on first errors and on first requests).
    """
    rows = _compared(canary_health_by_minute)
    if rows.empty:
        return Insufficient("nothing was counted while both variants were served")
    counted_from = int(canary_health_by_minute["tick"].min())
    worse = rollback_path(
        _first_errors(rows),
        first_tick=counted_from if first_tick is None else min(first_tick, counted_from),
        planned_ticks=planned_minutes,
        margin=margin_rollback,
    )
    not_worse = promotion_path(_first_requests(rows), margin=margin_promote)
    found = pd.DataFrame({"share": rows.groupby("tick")["treatment_share_bp"].max() / BASIS_POINTS})
    for name, path in (("worse", worse), ("not_worse", not_worse)):
        if isinstance(path, Insufficient):
            found[name] = np.nan
            continue
        found[name] = pd.Series(path.log_e_values, index=list(path.ticks)) / np.log(10.0)
    found[["worse", "not_worse"]] = found[["worse", "not_worse"]].ffill()
    found.insert(0, "minute", pd.to_datetime(found.index * 60, unit="s", utc=True))
    return found.reset_index(drop=True)


def canary_difference(
    canary_health_by_minute: pd.DataFrame, *, alpha: float = 0.05, points: int = 60
) -> pd.DataFrame:
    """An always-valid interval for the treatment's error rate minus the control's, as the canary went on.

    On first requests of units, which is what such an interval is right for.

    Args:
        canary_health_by_minute: as the view, of one phase.
        alpha: the probability that the intervals ever miss a constant difference.
        points: at most so many moments, evenly spread; each takes some milliseconds.

    Returns:
        Columns minute, lower, upper; without the moments at which there was too little to say.
    """
    rows = _compared(canary_health_by_minute)
    ticks = np.unique(rows["tick"].to_numpy(np.int64))
    if len(ticks) > points:
        ticks = ticks[np.linspace(0, len(ticks) - 1, points).round().astype(np.intp)]
    limits = []
    for tick in ticks.tolist():
        interval = difference_interval(_first_requests(rows[rows["tick"] <= tick]), alpha=alpha)
        if not isinstance(interval, Insufficient):
            limits.append((pd.Timestamp(tick * 60, unit="s", tz="UTC"), interval.lower, interval.upper))
    return pd.DataFrame(limits, columns=["minute", "lower", "upper"])


def error_rates(canary_health_by_minute: pd.DataFrame, *, window_minutes: int = 10) -> pd.DataFrame:
    """Rolling error rates of both roles.

    Returns:
        Columns minute, control, treatment: errors by requests over the window that ends with the minute;
        NaN where nothing was counted.
    """
    frame = _of_one_phase(canary_health_by_minute)
    counted = frame.pivot_table(
        index="minute", columns="role", values=["errors", "requests"], aggfunc="sum", fill_value=0
    )
    rolling = counted.sort_index().rolling(f"{window_minutes}min").sum()
    rates = pd.DataFrame(index=rolling.index)
    for role in ("control", "treatment"):
        if ("requests", role) in rolling:
            requests = rolling["requests", role]
            rates[role] = rolling["errors", role] / requests.where(requests > 0.0)
        else:
            rates[role] = np.nan
    return rates.reset_index()


def distribution(sketches: pd.DataFrame, *, source: str = "latency") -> pd.DataFrame:
    """How a sketched source is distributed in each variant.

    Args:
        sketches: columns variant_key, segment, source, cell, count, as `headgate report` writes them.
        source: "latency" or "first_token".

    Returns:
        Columns variant_key, seconds (increasing, within 1 %), level: the fraction of values up to there.
        Nothing for a variant without values.
    """
    rows = _of_one_phase(sketches)
    rows = rows[(rows["source"] == source) & (rows["segment"] == "")]
    parts = []
    for variant, of_variant in rows.groupby("variant_key"):
        sketch = Sketch.from_rows(of_variant["cell"].to_numpy(), of_variant["count"].to_numpy())
        level = sketch.counts.cumsum() / sketch.n
        seconds = cell_values(sketch.cells)
        parts.append(pd.DataFrame({"variant_key": variant, "seconds": seconds, "level": level}))
    if not parts:
        return pd.DataFrame({"variant_key": [], "seconds": [], "level": []})
    return pd.concat(parts, ignore_index=True)


HARMFUL = ("missing", "dead_lettered", "lost_records", "multiply_exposed", "unreadable_feedback")
"""What takes evidence away or mixes it up. Duplicates were dropped, and late reports still count."""


def problems(data_quality: pd.DataFrame, *, tolerated: float = 0.001) -> pd.DataFrame:
    """What is wrong with the data, the most first: harm above a tolerated fraction, or of unknown extent."""
    harm = data_quality[data_quality["kind"].isin(HARMFUL) & (data_quality["n"] > 0)]
    found = harm[harm["fraction"].isna() | (harm["fraction"] > tolerated)]
    return found.sort_values("n", ascending=False, ignore_index=True)


def sample_ratio_mismatch(experiment_results: pd.DataFrame) -> float | None:
    """The p-value against "units arrived as they were assigned" where it is flagged; None where it is not.

    Of an experiment that is flagged no other result should be believed.
    """
    rows = _of_one_phase(experiment_results)
    p_values = rows.loc[rows["statistic"] == "sample_ratio", "p_value"]
    lowest = p_values.astype(np.float64).min()
    return float(lowest) if lowest <= 1.0 / THRESHOLD else None


def _compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Only what was counted while both variants were served: the rest compares nothing."""
    rows = _of_one_phase(rows)
    return rows[rows["treatment_share_bp"].between(1, BASIS_POINTS - 1)]


def _of_one_phase(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame. Raises ValueError where it has several phases."""
    if "phase" not in frame:
        return frame
    phases = sorted(frame["phase"].dropna().unique().tolist())
    if len(phases) > 1:
        raise ValueError(
            f"the frame has the phases {', '.join(map(str, phases))}, each of which is a result of its own; "
            f'choose one, as in frame[frame["phase"] == {phases[-1]}]'
        )
    return frame


def _first_errors(rows: pd.DataFrame) -> list[TickCounts]:
    return _tick_counts(rows, rows["first_errors"], rows["requests"] - rows["errors"])


def _first_requests(rows: pd.DataFrame) -> list[TickCounts]:
    return _tick_counts(
        rows, rows["first_request_errors"], rows["first_requests"] - rows["first_request_errors"]
    )


def _tick_counts(rows: pd.DataFrame, errors: pd.Series, others: pd.Series) -> list[TickCounts]:
    is_treatment = rows["role"] == "treatment"
    columns = (rows["tick"], rows["treatment_share_bp"], is_treatment, errors, others)
    return [
        TickCounts(
            int(tick),
            int(share_bp) / BASIS_POINTS,
            int(failed) if treated else 0,
            0 if treated else int(failed),
            int(ok),
        )
        for tick, share_bp, treated, failed, ok in zip(*columns, strict=True)
    ]
