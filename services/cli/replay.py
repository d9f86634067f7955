"""``headgate replay``: recompute a decision from the tables, and say whether it holds to the bit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from services.domain.errors import NotFound
from services.domain.policy import Verdict
from services.domain.replay import Replay, replay
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames
from services.storage import decisions, experiments
from services.storage.replay import TableCheck, compare_with_tables
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

SHOWN = 5
"""How many differences of a kind are printed."""


@dataclass(frozen=True, slots=True)
class Report:
    """A decision, what came out again, and what the tables say."""

    experiment: str
    replay: Replay
    checks: list[TableCheck]

    @property
    def holds(self) -> bool:
        """Whether everything came out again, but for rounding, from inputs that agree with the tables."""
        return all(one.is_rounding for one in self.replay.differences) and self._inputs_agree

    @property
    def holds_to_the_bit(self) -> bool:
        """Whether every figure came out to the bit, as on the kind of processor it was decided on."""
        return not self.replay.differences and self._inputs_agree

    @property
    def _inputs_agree(self) -> bool:
        return not any(check.problems for check in self.checks)

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(self._body(), allow_nan=False)

    def lines(self) -> list[str]:
        """As lines for a person."""
        decision = self.replay.decision
        lines = [
            f"decision    {decision.decision_id}",
            f"experiment  {self.experiment}, phase {decision.phase}",
            f"decided     {decision.action} at {decision.decided_at:%Y-%m-%dT%H:%M:%SZ} by {decision.actor}",
            f"because     {decision.reason}",
            f"method      {decision.method}",
            "",
            *(_verdict_line(verdict) for verdict in self.replay.evaluation.verdicts),
            "",
        ]
        for check in self.checks:
            state = "agree" if not check.problems else f"{len(check.problems)} do not agree"
            lines.append(f"{check.what:<24} {check.compared:>6} compared: {state}")
            lines += [f"    {problem}" for problem in check.problems[:SHOWN]]
        for difference in self.replay.differences[:SHOWN]:
            lines.append(
                f"{difference.path}: recorded {difference.stored!r}, comes out as {difference.recomputed!r}"
            )
        return [*lines, "", self._conclusion()]

    def _conclusion(self) -> str:
        if self.holds_to_the_bit:
            return "It holds: recomputed from its inputs, every figure is the same to the bit."
        differences = self.replay.differences
        if self.holds:
            return (
                f"It holds: recomputed from its inputs, {len(differences)} figures differ in their last "
                "digits, as they may on another kind of processor; everything else is the same to the bit."
            )
        if differences:
            return f"It does not hold: {len(differences)} figures come out differently{self._other_method()}."
        return "It comes out the same, but its inputs are not what the tables say."

    def _other_method(self) -> str:
        """That another method may be why, where it is another one."""
        recorded, present = self.replay.decision.method, self.replay.evaluation.evidence()["method"]
        return "" if recorded == present else f"; it was made by {recorded}, and this release has {present}"

    def _body(self) -> dict[str, Any]:
        decision, judgement = self.replay.decision, self.replay.evaluation.judgement
        return {
            "decision_id": str(decision.decision_id),
            "experiment": self.experiment,
            "phase": decision.phase,
            "action": decision.action,
            "rule": decision.rule,
            "reason": decision.reason,
            "method": decision.method,
            "decided_at": decision.decided_at.isoformat(),
            "recomputed": {
                "rule": judgement.rule,
                "reason": judgement.reason,
                "verdicts": [asdict(verdict) for verdict in self.replay.evaluation.verdicts],
            },
            "differences": [asdict(difference) for difference in self.replay.differences],
            "tables": [asdict(check) for check in self.checks],
            "holds": self.holds,
            "holds_to_the_bit": self.holds_to_the_bit,
        }


async def read_report(decision_id: UUID, database: DatabaseSettings, kafka: KafkaSettings) -> Report:
    """Read a decision and recompute it. Raises NotFound for an unknown one, Conflict for a person's."""
    engine = create_engine(database, application_name="headgate-replay")
    topic = TopicNames(kafka.topic_prefix).outcomes
    try:
        snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
        async with snapshots.connect() as connection:
            decision = await decisions.get(connection, decision_id)
            if decision is None:
                raise NotFound(
                    f"there is no decision {decision_id}; GET /v1/experiments/{{key}}/decisions lists them"
                )
            replayed = replay(decision)
            experiment = await experiments.by_id(connection, decision.experiment_id)
            checks = await compare_with_tables(connection, decision, topic=topic)
        name = experiment.key if experiment else str(decision.experiment_id)
        return Report(name, replayed, checks)
    finally:
        await engine.dispose()


def _verdict_line(verdict: Verdict) -> str:
    return f"{verdict.verdict:<13} {verdict.sentence}"
