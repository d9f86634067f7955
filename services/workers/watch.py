"""One experiment under evaluation: read a snapshot, judge it, record what follows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.decision import Decision
from services.domain.evaluation import METHOD, Evaluation, EvaluationInputs, evaluate
from services.domain.experiment import ThresholdPolicy
from services.domain.policy import Act, Verdict
from services.messaging.records import decision_record
from services.storage import decisions, evidence, outbox
from services.storage.evidence import CountCache, EvidenceSnapshot
from services.storage.identifiers import new_id
from services.workers.lease import Lessor

logger = logging.getLogger(__name__)

ACTOR = "policy"
"""Who makes the decisions that no person makes."""
SHOWN_EVERY_SECONDS = 1.0
"""How often the stored evaluation is renewed while it stays the same."""
NEVER_COUNTED_SECONDS = 1e9
"""The age of evidence while some partition was never counted: JSON has no infinity."""
MINUTE = 60


@dataclass(frozen=True, slots=True)
class _WindowLook:
    """The windowed rule's last look."""

    verdict: Verdict
    at: float


class Watch:
    """Evaluates one experiment whenever it is asked to."""

    def __init__(
        self, experiment_id: UUID, engine: AsyncEngine, lessor: Lessor, *, topic: str, partitions: int
    ) -> None:
        self.experiment_id = experiment_id
        self.awake = asyncio.Event()
        self._engine = engine
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
        self._lessor = lessor
        self._topic = topic
        self._partitions = partitions
        self._cache: CountCache | None = None
        self._window: _WindowLook | None = None
        self._decided: set[tuple[str, int]] = set()
        self._shown: tuple[str, float] | None = None

    async def evaluate(self) -> None:
        """Evaluate the experiment once, where it runs."""
        snapshot = await self._read()
        if snapshot is None:
            self._lessor.lapse(self.experiment_id)
            return
        evaluation = self._judge(snapshot)
        await self._record(snapshot, evaluation)
        if snapshot.freshness.counted_at is not None:
            limit = snapshot.experiment.definition.lease_limit_seconds
            self._lessor.renew(self.experiment_id, snapshot.freshness.counted_at, limit)

    async def _read(self) -> EvidenceSnapshot | None:
        async with self._snapshots.connect() as connection:
            found = await evidence.read(
                connection,
                self.experiment_id,
                topic=self._topic,
                partitions=self._partitions,
                cache=self._cache,
            )
        if found is None:
            return None
        snapshot, self._cache = found
        return snapshot

    def _judge(self, snapshot: EvidenceSnapshot) -> Evaluation:
        now = asyncio.get_running_loop().time()
        policy = snapshot.experiment.canary.policy
        held = None
        if isinstance(policy, ThresholdPolicy):
            window = self._window
            held = window.verdict if window and now - window.at < policy.interval_seconds else None
        evaluation = evaluate(_inputs(snapshot, held))
        if isinstance(policy, ThresholdPolicy) and held is None:
            self._window = _WindowLook(evaluation.situation.guardrails[0], now)
        return evaluation

    async def _record(self, snapshot: EvidenceSnapshot, evaluation: Evaluation) -> None:
        judgement = evaluation.judgement
        # The decision first and by itself: traffic waits for it, and for nothing else here.
        if isinstance(judgement, Act) and _once(judgement, snapshot) not in self._decided:
            await self._decide(snapshot, evaluation, judgement)
        elif not self._is_to_be_shown(judgement.rule):
            return
        async with self._engine.begin() as connection:
            await evidence.record_evaluation(
                connection,
                self.experiment_id,
                phase=snapshot.experiment.phase,
                rule=judgement.rule,
                sentence=judgement.reason,
                body=evaluation.body(),
            )
        self._shown = (judgement.rule, asyncio.get_running_loop().time())

    async def _decide(self, snapshot: EvidenceSnapshot, evaluation: Evaluation, act: Act) -> None:
        decision = _decision(snapshot, evaluation, act)
        async with self._engine.begin() as connection:
            is_first = await _publish(connection, decision)
        if is_first:
            logger.info("%s: %s: %s", snapshot.experiment.key, decision.action, decision.reason)
        self._decided.add(_once(act, snapshot))

    def _is_to_be_shown(self, rule: str) -> bool:
        if self._shown is None or self._shown[0] != rule:
            return True
        return asyncio.get_running_loop().time() - self._shown[1] >= SHOWN_EVERY_SECONDS


async def _publish(connection: AsyncConnection, decision: Decision) -> bool:
    """Record a decision and have it published; False where the like was recorded already."""
    if not await decisions.record(connection, decision):
        return False
    await outbox.add(connection, *decision_record(decision.event))
    return True


def _once(act: Act, snapshot: EvidenceSnapshot) -> tuple[str, int]:
    """What there is one decision for: the phase of a rollback, the allocation of any other."""
    if act.action == "rollback":
        return "rollback", snapshot.experiment.phase
    return "step", snapshot.allocation.version


def _inputs(snapshot: EvidenceSnapshot, window_verdict: Verdict | None) -> EvaluationInputs:
    experiment, counts = snapshot.experiment, snapshot.counts
    now = snapshot.now
    started_at = experiment.started_at or experiment.created_at
    counted_at = snapshot.freshness.counted_at
    # The counts' minutes are the broker's; its clock may be a little off the database's.
    ticks = [row.tick for row in counts]
    first_tick, now_tick = min([_tick(started_at), *ticks]), max([_tick(now), *ticks])
    return EvaluationInputs(
        definition=experiment.canary,
        counts=counts,
        step=snapshot.allocation.step,
        share_bp=snapshot.allocation.treatment_share_bp,
        first_tick=first_tick,
        now_tick=now_tick,
        minutes_running=(now - started_at).total_seconds() / MINUTE,
        seconds_in_step=(now - (experiment.step_started_at or started_at)).total_seconds(),
        evidence_age_seconds=(
            NEVER_COUNTED_SECONDS if counted_at is None else max((now - counted_at).total_seconds(), 0.0)
        ),
        window_verdict=window_verdict,
    )


def _tick(at: datetime) -> int:
    return int(at.timestamp()) // MINUTE


def _decision(snapshot: EvidenceSnapshot, evaluation: Evaluation, act: Act) -> Decision:
    offsets = {str(partition): offset for partition, offset in snapshot.freshness.offsets.items()}
    return Decision(
        decision_id=new_id(),
        experiment_id=snapshot.experiment.experiment_id,
        phase=snapshot.experiment.phase,
        action=act.action,
        rule=act.rule,
        reason=act.reason,
        actor=ACTOR,
        allocation_version=snapshot.allocation.version,
        decided_at=snapshot.now,
        next_step=act.next_step,
        next_share_bp=act.next_share_bp,
        evidence=evaluation.evidence(),
        inputs={**evaluation.inputs_body(), "offsets": offsets},
        method=METHOD,
    )
