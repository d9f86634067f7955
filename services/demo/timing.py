"""How fast the loop was, from what the clients saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analytics.columns import TickCounts
from analytics.evidence import Evidence, rollback_evidence
from services.demo.traffic import Answer

ALPHA = 0.01
PLANNED_TICKS = 60


@dataclass(frozen=True, slots=True)
class RollbackTiming:
    """What a rollback looked like from outside.

    ``seconds_to_rollback``: from the first failed answer of the treatment to the last request it was given.
    ``loop_ms``: from the answer with which the evidence first reached 1/α, replayed in the order in which
    the clients got their answers, to the first request that was served the new split. Where the worker saw
    some of the control's errors later than the clients did, or errors of other clients too, and so crossed
    where the replay does not, it is the last seen of the treatment's errors that the decision rests on.
    ``proved_at`` and ``served_at`` are the two ends of it, in seconds of the monotonic clock.
    """

    seconds_to_rollback: float
    loop_ms: float
    treatment_requests: int
    proved_at: float
    served_at: float


def tested_errors(decision: dict[str, Any]) -> int:
    """Return how many errors of the treatment a decision rests on, as the api shows it; 0 where unknown."""
    return int(decision.get("evidence", {}).get("tested_treatment_events", 0))


def time_rollback(
    answers: Sequence[Answer], *, treatment: str, share: float, tested_errors: int
) -> RollbackTiming | None:
    """Time a rollback; None where the treatment was never proved worse, or never left.

    ``tested_errors`` is how many errors of the treatment the decision rests on; 0: there was none.
    """
    treated = [answer for answer in answers if answer.variant == treatment]
    failed_at = [answer.finished_at for answer in treated if answer.failed]
    if not failed_at:
        return None
    under_canary = treated[0].allocation
    after = [answer.sent_at for answer in answers if answer.allocation > under_canary]
    under = [answer for answer in answers if answer.allocation == under_canary]
    crossed_at = _crossed_at(under, treatment, share, tested_errors)
    if not after or crossed_at is None:
        return None
    return RollbackTiming(
        seconds_to_rollback=max(answer.sent_at for answer in treated) - min(failed_at),
        loop_ms=1000 * (min(after) - crossed_at),
        treatment_requests=len(treated),
        proved_at=crossed_at,
        served_at=min(after),
    )


def _crossed_at(answers: Sequence[Answer], treatment: str, share: float, tested_errors: int) -> float | None:
    failed_units: set[str] = set()
    treatment_errors = control_errors = others = 0
    last_error_at = None
    for answer in sorted(answers, key=lambda answer: answer.finished_at):
        if not answer.failed:
            others += 1
            continue
        if answer.unit in failed_units:
            continue
        failed_units.add(answer.unit)
        if answer.variant != treatment:
            control_errors += 1
            continue
        treatment_errors += 1
        last_error_at = answer.finished_at
        evidence = rollback_evidence(
            [TickCounts(0, share, treatment_errors, control_errors, others)],
            first_tick=0,
            planned_ticks=PLANNED_TICKS,
            alpha=ALPHA,
        )
        crossed = isinstance(evidence, Evidence) and evidence.crossed
        if crossed or treatment_errors == tested_errors:
            return answer.finished_at
    return last_error_at if tested_errors else None
