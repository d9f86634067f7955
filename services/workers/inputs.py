"""From what was read in one snapshot to the inputs of an evaluation."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_segments import Segment
from services.domain.bucket_table import SHARE, WHOLE, BucketTable, share_segment
from services.domain.canary_tests import TESTED_COLUMNS, StepBuckets
from services.domain.counts import Count
from services.domain.evaluation import EvaluationInputs
from services.domain.events import Role
from services.domain.metric import SKETCHED, UNITS
from services.domain.policy import Verdict
from services.domain.sketches import SourceSketches
from services.storage.buckets import BucketCache
from services.storage.evidence import EvidenceSnapshot

NEVER_COUNTED_SECONDS = 1e9
"""The age of evidence while some partition was never counted: JSON has no infinity."""
MINUTE = 60


def canary_inputs(snapshot: EvidenceSnapshot, window_verdict: Verdict | None) -> EvaluationInputs:
    """Return what the evaluation of one treatment depends on, in the ramp or the watch of a canary."""
    experiment, now, phase = snapshot.experiment, snapshot.now, snapshot.phase
    started_at = experiment.started_at or experiment.created_at
    first_tick, now_tick = _ticks(snapshot)
    return EvaluationInputs(
        definition=experiment.judged_as,
        counts=snapshot.counts,
        step=snapshot.allocation.step,
        share_bp=snapshot.allocation.treatment_share_bp,
        first_tick=first_tick,
        now_tick=now_tick,
        minutes_running=((phase.ended_at or now) - phase.started_at).total_seconds() / MINUTE,
        seconds_in_step=(now - (experiment.step_started_at or started_at)).total_seconds(),
        evidence_age_seconds=_age_seconds(snapshot),
        window_verdict=window_verdict,
        # Only what is promoted and watched ever has a later phase.
        stage=experiment.stage if phase.phase == experiment.phase else "ramp",
        approved=experiment.approved_version == snapshot.allocation.version,
        freeze=_freeze(snapshot),
        buckets=tuple(
            StepBuckets(step.share_bp, step.control.only(TESTED_COLUMNS), step.treatment.only(TESTED_COLUMNS))
            for step in canary_buckets(snapshot)
        ),
    )


def canary_buckets(snapshot: EvidenceSnapshot) -> tuple[StepBuckets, ...]:
    """Return a canary's sums by analysis bucket for each share its treatment had.

    Sums that were not kept by share say nothing about a ramp; they are taken where there was one share only.
    """
    buckets, counts = snapshot.buckets, snapshot.counts
    shares = np.unique(counts.only(counts.compared)[Count.SHARE_BP]).tolist()
    if any(segment.startswith(SHARE) for segment in buckets.segments):
        steps = (_step(buckets, share_bp, share_segment(share_bp)) for share_bp in shares)
        return tuple(step for step in steps if step is not None)
    if len(shares) != 1:
        return ()
    step = _step(buckets, shares[0], WHOLE)
    return () if step is None else (step,)


def ab_test_inputs(snapshot: EvidenceSnapshot) -> ABTestInputs:
    """Return what the evaluation of an A/B test depends on."""
    experiment, phase = snapshot.experiment, snapshot.phase
    definition = experiment.ab_test
    first_tick, now_tick = _ticks(snapshot)
    whole = segment_of(snapshot, WHOLE)
    return ABTestInputs(
        definition=definition,
        phase=phase.phase,
        variants=_variants(snapshot),
        weights_bp=definition.weights_bp if phase.split is None else phase.split.weights_bp,
        counts=snapshot.counts,
        buckets=whole.buckets,
        sketches=whole.sketches,
        first_tick=first_tick,
        now_tick=now_tick,
        minutes_running=((phase.ended_at or snapshot.now) - phase.started_at).total_seconds() / MINUTE,
        evidence_age_seconds=_age_seconds(snapshot),
        freeze=_freeze(snapshot),
    )


def segment_names(snapshot: EvidenceSnapshot) -> list[str]:
    """Return the segments that have sums, but for the one that holds everything."""
    return [name for name in snapshot.buckets.segments if name != WHOLE]


def segment_of(snapshot: EvidenceSnapshot, name: str) -> Segment:
    """Return what was summed of one segment, for each variant of the test."""
    definition, buckets = snapshot.experiment.ab_test, snapshot.buckets
    places = range(len(_variants(snapshot)))
    columns = tuple(column.key for column in definition.columns)
    tables = (buckets.variant(place, name) for place in places)
    return Segment(
        name,
        tuple(table if table.has(UNITS.key) else BucketTable.empty(columns) for table in tables),
        tuple(sketches_of(buckets, place, name) for place in places),
    )


def sketches_of(buckets: BucketCache, place: int, segment: str = WHOLE) -> SourceSketches:
    """Return a variant's distributions."""
    return SourceSketches({source: buckets.sketch(place, source, segment) for source in SKETCHED})


def canary_sketches(snapshot: EvidenceSnapshot, role: Role) -> SourceSketches:
    """Return the distributions of all of a role's requests, whatever the treatment's share was."""
    buckets = snapshot.buckets
    shares = [segment for segment in buckets.segments if segment.startswith(SHARE)]
    segments = [WHOLE] if WHOLE in buckets.segments or not shares else shares
    return SourceSketches(
        {
            source: reduce(add, (buckets.sketch(role, source, segment) for segment in segments))
            for source in SKETCHED
        }
    )


def _step(buckets: BucketCache, share_bp: int, segment: str) -> StepBuckets | None:
    control, treatment = (buckets.variant(role, segment) for role in (Role.CONTROL, Role.TREATMENT))
    if not control.columns or not treatment.columns:
        return None
    return StepBuckets(share_bp, control, treatment)


def _variants(snapshot: EvidenceSnapshot) -> tuple[str, ...]:
    """The variants of the phase: a later one may have others."""
    split = snapshot.phase.split
    return snapshot.experiment.variant_keys if split is None else split.variants


def _ticks(snapshot: EvidenceSnapshot) -> tuple[int, int]:
    """The first minute and the present one. The counts' are the broker's, whose clock may be a little off."""
    ticks = snapshot.counts[Count.TICK]
    first, now = _tick(snapshot.phase.started_at.timestamp()), _tick(snapshot.now.timestamp())
    if not len(ticks):
        return first, now
    return min(first, int(ticks.min())), max(now, int(ticks.max()))


def _freeze(snapshot: EvidenceSnapshot) -> str:
    return snapshot.freezes[0].sentence if snapshot.freezes else ""


def _tick(seconds: float) -> int:
    return int(seconds) // MINUTE


def _age_seconds(snapshot: EvidenceSnapshot) -> float:
    counted_at = snapshot.freshness.counted_at
    if counted_at is None:
        return NEVER_COUNTED_SECONDS
    return max((snapshot.now - counted_at).total_seconds(), 0.0)
