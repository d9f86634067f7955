"""``headgate report``: one experiment's part of the SQL contract as files and figures, and in a few lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pandas as pd
from matplotlib.figure import Figure
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics import plots, report
from analytics.results import Insufficient
from services.cli import frames
from services.domain.canary import CanaryDefinition, CanaryPlan, SequentialPolicy
from services.domain.errors import NotFound
from services.domain.metric import BUILT_IN, Metric
from services.storage import contract
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

Frames = Mapping[str, pd.DataFrame]
FIGURE_FORMATS = ("png", "svg")


async def list_experiments(settings: DatabaseSettings) -> str:
    """Return a line for each experiment."""
    async with _connected(settings) as connection:
        rows = await contract.list_experiments(connection)
    width = max((len(row[0]) for row in rows), default=0)
    return "\n".join(
        f"{key:<{width}}  {kind:<7}  {status:<7}  on {route}" for key, kind, status, route in rows
    )


async def read(settings: DatabaseSettings, key: str, *, exposures: bool, segments: bool) -> Frames:
    """Return an experiment's frames, all of one moment."""
    async with _connected(settings) as connection:
        found = await contract.read_experiment(connection, key, exposures=exposures, segments=segments)
    return {name: frames.frame_of(rows) for name, rows in found.items()}


def write(
    by_name: Frames, out: Path, *, formats: frozenset[str], figures: bool, phase: int | None = None
) -> str:
    """Write frames and figures into a directory that there is, and return a summary.

    The frames have every phase; summary and figures are of the newest, unless another one is asked for.
    """
    written = frames.write(by_name, out, formats)
    shown = by_name if phase is None else of_phase(by_name, phase)
    lines = summary(shown)
    if figures:
        drawn = draw(shown)
        written += _save(drawn, out)
        lines += _not_drawn(drawn)
    return "\n".join([*lines, f"{len(written)} files in {out}"])


def of_phase(by_name: Frames, phase: int) -> Frames:
    """Return what belongs to a phase, or to none. Raises NotFound where there is no such phase."""
    phases = by_name["experiment_phases"]["phase"].tolist()
    if phase not in phases:
        there_are = ", ".join(map(str, phases)) or "none, since it never started"
        raise NotFound(f"there is no phase {phase} of this experiment; its phases: {there_are}")
    of_all = ("experiments", "experiment_phases")
    return {
        name: frame
        if name in of_all or "phase" not in frame
        else frame[frame["phase"].isna() | (frame["phase"] == phase)]
        for name, frame in by_name.items()
    }


def summary(by_name: Frames) -> list[str]:
    """Say in a few lines what was tested, whether the data are sound, and what came out."""
    experiment = by_name["experiments"].iloc[0]
    lines = [_headline(experiment), *_phase_shown(by_name)]
    lines += [_variant(row) for _, row in _present(by_name["variant_totals"]).iterrows()]
    results = _present(by_name["experiment_results"])
    mismatch = report.sample_ratio_mismatch(results)
    lines.append("data: " + _soundness(report.problems(by_name["data_quality"]), mismatch))
    differences = report.results(results, method="sequential")
    lines += [_difference(row, believed=mismatch is None) for _, row in differences.iterrows()]
    for unit, rows in _in_units(by_name).items():
        lines += [_difference(row, unit, believed=mismatch is None) for _, row in rows.iterrows()]
    lines += [f"{row.decided_at:%Y-%m-%dT%H:%MZ} {row.action}: {row.reason}"
              for row in by_name["decision_log"].itertuples()]  # fmt: skip
    return lines


def draw(by_name: Frames) -> dict[str, Figure | None]:
    """Draw what there are data for. A figure that would show nothing is None."""
    present = {name: _present(frame) for name, frame in by_name.items()}
    experiment = by_name["experiments"].iloc[0]
    differences = report.results(present["experiment_results"], method="sequential")
    figures: dict[str, Figure | None] = {}
    in_units = _in_units(by_name)
    shown = pd.concat([differences, *in_units.values()])
    if len(shown):
        figures["differences"] = plots.forest(differences, in_units) if _has_points(shown) else None
    columns = ["metric", "variant", "statistic"]
    for metric, variant, statistic in shown[columns].itertuples(index=False):
        course = report.course(
            present["experiment_results_history"], metric=metric, variant=variant, statistic=statistic
        )
        relative = statistic == "relative_difference"
        drawn = plots.interval_course(course, title=f"{metric}, {variant}", relative=relative)
        figures[f"course_{metric}_{variant}"] = drawn if _has_points(course) else None
    if len(present["canary_health_by_minute"]):
        by_minute = present["canary_health_by_minute"]
        figures |= _canary_figures(experiment, by_name["experiment_phases"], by_minute)
    for source in present["sketches"]["source"].unique():
        figures[source] = plots.distribution(
            report.distribution(present["sketches"], source=source),
            source=source,
            control=str(experiment["control"]),
            variants=by_name["experiment_variants"]["variant_key"].tolist(),
        )
    return figures


def _in_units(by_name: Frames) -> dict[str, pd.DataFrame]:
    """Differences that are only known in their metric's unit, by that unit."""
    rows = report.absolute_only(_present(by_name["experiment_results"]), method="sequential")
    definition = json.loads(by_name["experiments"].iloc[0]["definition"])
    own = [msgspec.convert(metric, Metric) for metric in definition.get("metrics", ())]
    units = {metric.key: metric.unit for metric in (*BUILT_IN.values(), *own)}
    return {str(unit): of_unit for unit, of_unit in rows.groupby(rows["metric"].map(units))}


def _has_points(frame: pd.DataFrame) -> bool:
    return bool(frame["point"].notna().any())


def _save(figures: Mapping[str, Figure | None], out: Path) -> list[Path]:
    written = []
    for name, figure in figures.items():
        if figure is None:
            continue
        for suffix in FIGURE_FORMATS:
            written.append(out / f"{name.replace('/', '_')}.{suffix}")
            plots.save(figure, written[-1])
    return written


def _not_drawn(figures: Mapping[str, Figure | None]) -> list[str]:
    empty = ", ".join(name for name, figure in figures.items() if figure is None)
    return [f"not drawn, nothing recorded yet: {empty}"] if empty else []


def _canary_figures(
    experiment: pd.Series, phases: pd.DataFrame, by_minute: pd.DataFrame
) -> dict[str, Figure | None]:
    definition = msgspec.convert(json.loads(experiment["definition"]), CanaryDefinition)
    difference = report.canary_difference(by_minute)
    figures: dict[str, Figure | None] = {
        "error_rates": plots.error_rates(report.error_rates(by_minute), difference)
    }
    if isinstance(definition.policy, SequentialPolicy):
        figures |= _evidence_figure(definition.plan, definition.policy, experiment, phases, by_minute)
    return figures


def _evidence_figure(
    plan: CanaryPlan,
    policy: SequentialPolicy,
    experiment: pd.Series,
    phases: pd.DataFrame,
    by_minute: pd.DataFrame,
) -> dict[str, Figure | None]:
    """The e-values that decided, with the budgets they had."""
    phase = int(by_minute["phase"].iloc[0])
    in_watch = experiment["stage"] == "watch" and phase == experiment["phase"]
    on_errors = next((one for one in policy.guardrails if one.metric == "error_rate"), None)
    started_at = phases.loc[phases["phase"] == phase, "started_at"].iloc[0]
    evidence = report.canary_evidence(
        by_minute,
        planned_minutes=plan.watch_minutes if in_watch else plan.planned_duration_minutes,
        margin_rollback=0.0 if on_errors is None else on_errors.margin,
        margin_promote=policy.margin_promote,
        first_tick=int(started_at.timestamp()) // 60,
    )
    if isinstance(evidence, Insufficient) or (in_watch and on_errors is None):
        return {}
    drawn = plots.canary_evidence(
        evidence,
        alpha_rollback=None if on_errors is None else policy.alpha_rollback / len(policy.guardrails),
        alpha_promote=None if in_watch else policy.alpha_promote / 2.0,
    )
    return {"evidence": drawn}


@asynccontextmanager
async def _connected(settings: DatabaseSettings) -> AsyncIterator[AsyncConnection]:
    """A connection that sees one snapshot."""
    engine = create_engine(settings, application_name="headgate-report", idle_in_transaction_seconds=600.0)
    try:
        async with engine.connect() as connection:
            yield await connection.execution_options(isolation_level="REPEATABLE READ")
    finally:
        await engine.dispose()


def _present(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the newest phase."""
    if "phase" not in frame or frame.empty:
        return frame
    newest: pd.DataFrame = frame[frame["phase"] == frame["phase"].max()]
    return newest


def _headline(experiment: pd.Series) -> str:
    conclusion = experiment["conclusion"]
    ended = f", {conclusion}" if isinstance(conclusion, str) else ""
    return (
        f"{experiment['key']}: {experiment['kind']} on {experiment['route_key']}, {experiment['status']}"
        f"{ended}, phase {experiment['phase']}"
    )


def _phase_shown(by_name: Frames) -> list[str]:
    """Which phase it is about, where there is a choice."""
    phases = by_name["experiment_phases"]["phase"].tolist()
    shown = _present(by_name["variant_totals"])
    if len(phases) < 2 or shown.empty:
        return []
    return [f"of phase {shown['phase'].iloc[0]} of {len(phases)}; --phase shows another"]


def _variant(row: pd.Series) -> str:
    return (
        f"  {row['variant_key']} ({row['role']}): {row['units']:,} units, {row['requests']:,} requests, "
        f"{row['error_rate']:.2%} errors, {row['mean_latency_seconds']:.3g} s"
    )


def _soundness(troubles: pd.DataFrame, mismatch: float | None) -> str:
    found = [f"{row.n:,} {row.kind}" for row in troubles.itertuples()]
    if mismatch is not None:
        found.append(
            f"the units did not arrive in the proportions they were assigned in (p = {mismatch:.2g}); do not "
            "believe what follows before the reason is found"
        )
    return ", ".join(found) or "no harm noticed"


def _difference(row: pd.Series, unit: str = "", *, believed: bool = True) -> str:
    if isinstance(row["insufficient"], str):
        return f"  {row['metric']}, {row['variant']}: {row['insufficient']}"
    clear = " clear" if row["clear"] and believed else ""
    if unit:
        return (
            f"  {row['metric']}, {row['variant']}: {row['point']:+.3g} "
            f"[{row['lower']:+.3g}, {row['upper']:+.3g}] {unit}{clear}"
        )
    return (
        f"  {row['metric']}, {row['variant']}: {row['point']:+.1%} "
        f"[{row['lower']:+.1%}, {row['upper']:+.1%}]{clear}"
    )
