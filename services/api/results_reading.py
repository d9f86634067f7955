"""Putting results together: from the evaluation's rows, the counts, and what is known of the experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.canary_outlook import outlook
from services.api.result_rows import Reading, comparisons, sample_ratio, still_needed, variant_results
from services.api.result_views import DataQuality, PhaseView, ResultsView, StillNeeded
from services.api.waiting import waiting_for
from services.domain.assignment import BASIS_POINTS
from services.domain.decision import POLICY
from services.domain.errors import Conflict, InvalidDefinition
from services.domain.events import Role
from services.domain.experiment import Experiment, ExperimentStatus
from services.storage import (
    counting_totals,
    decisions,
    experiments,
    phase_totals,
    phases,
    results_reading,
    routes,
)
from services.storage.phase_totals import VariantTotals
from services.storage.phases import Phase
from services.storage.results_reading import ResultSet


@dataclass(frozen=True, slots=True)
class Asked:
    """Which results are wanted."""

    phase: int | None
    segment: str
    at: datetime | None


async def read_results(connection: AsyncConnection, key: str, asked: Asked) -> ResultsView:
    """Return the results of an experiment. Raises InvalidDefinition for a phase or segment there is not."""
    experiment = await experiments.get(connection, key)
    if experiment.kind == "shadow":
        where = f"GET /v1/experiments/{key}/comparisons"
        raise Conflict(f"{key!r} is a shadow: it has comparisons, and {where} shows them")
    known = await phases.of_experiment(connection, experiment.experiment_id)
    segments = await results_reading.segments(connection, experiment.experiment_id)
    if asked.segment and asked.segment not in segments:
        there_are = ", ".join(segments) or "none so far"
        raise InvalidDefinition("segment", f"{asked.segment!r} was not seen; there are {there_are}")
    phase = _phase(experiment, known, asked)
    number = phase.phase if phase else experiment.phase
    found = await _find(connection, experiment, number, asked)
    reading = Reading(
        experiment=experiment,
        phase=phase,
        rows=found.rows if found else (),
        totals=await _totals(connection, experiment, number, asked),
        as_of=found.as_of if found else None,
        decided_on=await _decided_on(connection, experiment, found, asked),
    )
    return ResultsView(
        experiment=experiment.key,
        kind=experiment.kind,
        status=_status(experiment, asked),
        conclusion=experiment.conclusion if _status(experiment, asked) == "stopped" else None,
        phase=number,
        segment=asked.segment,
        as_of=found.as_of if found else None,
        recorded_at=found.recorded_at if found else None,
        no_results=None if found else _why_not(experiment, phase, asked),
        variants=variant_results(reading),
        comparisons=comparisons(reading),
        still_needed=await _still_needed(connection, reading, asked),
        waiting_for=None if asked.at else await waiting_for(connection, experiment),
        sample_ratio=sample_ratio(reading),
        data_quality=None if asked.at else await _data_quality(connection, experiment, number),
        segments=segments,
        phases=[_phase_view(one) for one in known],
    )


async def _totals(
    connection: AsyncConnection, experiment: Experiment, phase: int, asked: Asked
) -> Mapping[int, VariantTotals] | None:
    """Return what each variant did, up to now: of the past only what was recorded is known."""
    if asked.at is not None:
        return None
    summed = await phase_totals.summed(
        connection, experiment.experiment_id, phase=phase, segment=asked.segment
    )
    if asked.segment:
        return summed
    counted = await phase_totals.by_variant(connection, experiment.experiment_id, phase=phase)
    nothing = VariantTotals()
    return {
        index: replace(
            totals,
            completed=summed.get(index, nothing).completed,
            latency_us=summed.get(index, nothing).latency_us,
        )
        for index, totals in counted.items()
    }


async def _decided_on(
    connection: AsyncConnection, experiment: Experiment, found: ResultSet | None, asked: Asked
) -> Mapping[str, Mapping[str, int]]:
    """Return what was counted of each variant when the policy decided, where the results are of then.

    Counts are there at once, and sums by analysis bucket some seconds later: at an early decision the
    recorded rows may not hold a single request.
    """
    if found is None or found.decision_id is None or asked.segment:
        return {}
    decision = await decisions.get(connection, found.decision_id)
    if decision is None or decision.actor != POLICY:
        return {}
    totals: Mapping[str, Mapping[str, int]] = decision.evidence.get("totals", {})
    if experiment.kind == "ab_test":
        return totals
    # One treatment is judged by its role, whatever its name.
    keys = zip(Role, experiment.variant_keys, strict=True)
    return {key: totals[role.label] for role, key in keys if role.label in totals}


def _status(experiment: Experiment, asked: Asked) -> ExperimentStatus:
    """Return the status at the moment asked for."""
    if asked.at is None or experiment.status == "draft":
        return experiment.status
    if experiment.started_at is None or asked.at < experiment.started_at:
        return "draft"
    is_stopped = experiment.stopped_at is not None and experiment.stopped_at <= asked.at
    return "stopped" if is_stopped else "running"


def _phase(experiment: Experiment, known: Sequence[Phase], asked: Asked) -> Phase | None:
    if asked.phase is None:
        begun = [one for one in known if asked.at is None or one.started_at <= asked.at]
        return begun[-1] if begun else None
    for one in known:
        if one.phase == asked.phase:
            return one
    raise InvalidDefinition(
        "phase", f"{experiment.key!r} has no phase {asked.phase}; it has {len(known) or 'none yet'}"
    )


async def _find(
    connection: AsyncConnection, experiment: Experiment, phase: int, asked: Asked
) -> ResultSet | None:
    if asked.at is not None:
        return await results_reading.recorded(
            connection, experiment.experiment_id, phase=phase, segment=asked.segment, at=asked.at
        )
    return await results_reading.newest(
        connection, experiment.experiment_id, phase=phase, segment=asked.segment
    )


async def _still_needed(connection: AsyncConnection, reading: Reading, asked: Asked) -> list[StillNeeded]:
    experiment = reading.experiment
    if experiment.kind != "canary":
        return still_needed(reading)
    if experiment.status != "running" or asked.at is not None or asked.segment:
        return []
    now = datetime.now(UTC)
    last_hour = await phase_totals.by_variant(
        connection, experiment.experiment_id, phase=experiment.phase, first_tick=_tick(now) - 59
    )
    allocation = (await routes.get(connection, experiment.route_key)).allocation
    ran = now - (experiment.started_at or now)
    share = allocation.treatment_share_bp / BASIS_POINTS
    minutes = min(ran.total_seconds() / 60, 60.0)
    found = outlook(experiment, share, reading.totals or {}, last_hour, minutes)
    return [] if found is None else [found]


def _why_not(experiment: Experiment, phase: Phase | None, asked: Asked) -> str:
    if experiment.status == "draft":
        return f"no results yet: it is a draft; POST /v1/experiments/{experiment.key}/start starts it"
    if phase is None:
        return f"no results: it had not been started at {asked.at:%Y-%m-%d %H:%M %Z}"
    if asked.at is not None:
        return (
            "no results were recorded by then in this phase; they are recorded each hour, at each decision, "
            "and at the end of a phase"
        )
    if asked.segment:
        return f"no results yet for {asked.segment}: the workers have not evaluated it so far"
    if experiment.status == "stopped":
        return "no results: it was stopped before the workers evaluated it"
    return "no results yet: the workers have not evaluated this phase so far; is there traffic on the route?"


def _tick(at: datetime) -> int:
    return int(at.timestamp()) // 60


async def _data_quality(connection: AsyncConnection, experiment: Experiment, phase: int) -> DataQuality:
    totals = await counting_totals.read_totals(connection)
    return DataQuality(
        **await phase_totals.noticed(connection, experiment.experiment_id, phase=phase),
        outcomes_missing=totals.missing,
        outcomes_lost=totals.records_lost,
        duplicates_dropped=totals.duplicates_dropped,
        dead_lettered=totals.dead_lettered,
    )


def _phase_view(phase: Phase) -> PhaseView:
    split = phase.split
    shares = None if split is None else [weight / BASIS_POINTS for weight in split.weights_bp]
    return PhaseView(
        phase=phase.phase,
        started_at=phase.started_at,
        ended_at=phase.ended_at,
        weights=None if split is None or shares is None else dict(zip(split.variants, shares, strict=True)),
        traffic_share=None if split is None else split.traffic_bp / BASIS_POINTS,
    )
