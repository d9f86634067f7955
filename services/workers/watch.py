"""One experiment under evaluation: read a snapshot, judge it, record what follows."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain import ab_evaluation
from services.domain import evaluation as canary_evaluation
from services.domain.ab_evaluation import ABTestEvaluation, evaluate_test
from services.domain.ab_test import ABTestDefinition
from services.domain.canary import ThresholdPolicy
from services.domain.decision import POLICY, Decision
from services.domain.evaluation import Evaluation, evaluate
from services.domain.memory import Memory
from services.domain.policy import Act, Verdict
from services.messaging.records import decision_record
from services.storage import decisions, evidence, outbox
from services.storage.evidence import EvidenceCache, EvidenceSnapshot
from services.storage.identifiers import new_id
from services.workers.inputs import ab_test_inputs, canary_inputs
from services.workers.lease import Lessor
from services.workers.metrics import WorkerMetrics
from services.workers.results import Judged, write_results

logger = logging.getLogger(__name__)

SHOWN_EVERY_SECONDS = 1.0
"""How often the stored evaluation is renewed while it stays the same."""
RESULTS_EVERY_SECONDS = 1.5
"""How often the results are renewed while outcomes are counted."""
DECIDED_AGAIN_SECONDS = 2.0
"""What was decided already is recorded again after so long, which does nothing unless a freeze dropped it."""


@dataclass(frozen=True, slots=True)
class _WindowLook:
    """The windowed rule's last look."""

    phase: int
    verdict: Verdict
    at: float


class Watch:
    """Evaluates one experiment whenever it is asked to."""

    def __init__(
        self,
        experiment_id: UUID,
        engine: AsyncEngine,
        lessor: Lessor,
        *,
        topic: str,
        partitions: int,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self.experiment_id = experiment_id
        self.judged: Judged | None = None
        """The newest evaluation."""
        self.judged_at = time.monotonic()
        """When that was, in ``time.monotonic``; before it, since when the experiment is watched."""
        self._metrics = metrics or WorkerMetrics()
        self.awake = asyncio.Event()
        self._engine = engine
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
        self._lessor = lessor
        self._topic = topic
        self._partitions = partitions
        self._cache: EvidenceCache | None = None
        self._memory = Memory()
        self._window: _WindowLook | None = None
        self._decided: dict[tuple[str, int], float] = {}
        self._shown: tuple[str, float] | None = None
        self._unwritten: Judged | None = None
        self._written_at = -math.inf

    async def evaluate(self) -> None:
        """Evaluate the experiment once, where it runs."""
        started = time.monotonic()
        judged = await self._judge()
        if judged is None:
            self._lessor.lapse(self.experiment_id)
            return
        await self._record(judged)
        self.judged, self.judged_at = judged, time.monotonic()
        self._metrics.evaluated(self.judged_at - started)
        snapshot = judged.snapshot
        if snapshot.freshness.counted_at is not None:
            limit = judged.evaluation.inputs.definition.lease_limit_seconds
            self._lessor.renew(self.experiment_id, snapshot.freshness.counted_at, limit)

    def results_wait_seconds(self) -> float | None:
        """Return for how long something new could be written by now; None while nothing can be."""
        if self._unwritten is None:
            return None
        waited = asyncio.get_running_loop().time() - self._written_at
        return waited - RESULTS_EVERY_SECONDS if waited >= RESULTS_EVERY_SECONDS else None

    async def renew_results(self) -> None:
        """Write the results of the newest evaluation."""
        judged = self._unwritten
        if judged is None:
            return
        self._written_at = asyncio.get_running_loop().time()
        await write_results(self._engine, judged)
        if self._unwritten is judged:
            self._unwritten = None

    async def _judge(self) -> Judged | None:
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
        snapshot, cache = found
        judged = Judged(snapshot, self._evaluated(snapshot), cache.read_up_to)
        if snapshot.is_news or self._unwritten is not None or self._cache is not cache:
            self._unwritten = judged
        self._cache = cache
        return judged

    def _evaluated(self, snapshot: EvidenceSnapshot) -> Evaluation | ABTestEvaluation:
        experiment = snapshot.experiment
        if isinstance(experiment.definition, ABTestDefinition):
            return evaluate_test(ab_test_inputs(snapshot), self._memory)
        policy = experiment.judged_as.policy
        if not isinstance(policy, ThresholdPolicy):
            return evaluate(canary_inputs(snapshot, None), self._memory)
        now, window, phase = asyncio.get_running_loop().time(), self._window, experiment.phase
        is_due = window is None or window.phase != phase or now - window.at >= policy.interval_seconds
        held = None if window is None or is_due else window.verdict
        evaluation = evaluate(canary_inputs(snapshot, held))
        if is_due:
            self._window = _WindowLook(phase, evaluation.situation.guardrails[0], now)
        return evaluation

    async def _record(self, judged: Judged) -> None:
        judgement, snapshot = judged.evaluation.judgement, judged.snapshot
        # The decision first and by itself: traffic waits for it, and for nothing else here.
        if isinstance(judgement, Act) and self._is_to_be_decided(_once(judgement, snapshot)):
            await self._decide(judged, judgement)
        elif not self._is_to_be_shown(judgement.rule):
            return
        async with self._engine.begin() as connection:
            await evidence.record_evaluation(
                connection,
                self.experiment_id,
                phase=snapshot.experiment.phase,
                rule=judgement.rule,
                sentence=judgement.reason,
                body=judged.evaluation.body(),
            )
        self._shown = (judgement.rule, asyncio.get_running_loop().time())

    async def _decide(self, judged: Judged, act: Act) -> None:
        decision = _decision(judged, act)
        async with self._engine.begin() as connection:
            is_first = await _publish(connection, decision)
        self._decided[_once(act, judged.snapshot)] = asyncio.get_running_loop().time()
        if not is_first:
            return
        experiment = judged.snapshot.experiment
        self._metrics.decided(experiment.kind, decision.action)
        told = {"experiment": experiment.key, "decision_id": str(decision.decision_id)}
        logger.info("%s: %s: %s", experiment.key, decision.action, decision.reason, extra=told)
        await write_results(self._engine, judged, decision_id=decision.decision_id)

    def _is_to_be_decided(self, once: tuple[str, int]) -> bool:
        decided_at = self._decided.get(once, -math.inf)
        return asyncio.get_running_loop().time() - decided_at >= DECIDED_AGAIN_SECONDS

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


def _decision(judged: Judged, act: Act) -> Decision:
    snapshot, evaluation = judged.snapshot, judged.evaluation
    offsets = {str(partition): offset for partition, offset in snapshot.freshness.offsets.items()}
    is_test = isinstance(evaluation, ABTestEvaluation)
    return Decision(
        decision_id=new_id(),
        experiment_id=snapshot.experiment.experiment_id,
        phase=snapshot.experiment.phase,
        action=act.action,
        rule=act.rule,
        reason=act.reason,
        actor=POLICY,
        allocation_version=snapshot.allocation.version,
        decided_at=snapshot.now,
        next_step=act.next_step,
        next_share_bp=act.next_share_bp,
        variant_key=act.variant_key,
        evidence=evaluation.evidence(),
        inputs={**evaluation.inputs_body(), "offsets": offsets},
        method=ab_evaluation.METHOD if is_test else canary_evaluation.METHOD,
    )
