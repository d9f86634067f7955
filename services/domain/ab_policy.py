"""The policy of an A/B test: an ordered list of rules, the first of which that has something to say decides.

Guardrails and the kill switch stop the test. A goal that is shown to be better promotes its treatment, where
the test is to do so. Everything else holds, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.domain.policy import FRESH_EVIDENCE_SECONDS, Act, Health, Hold, Judgement, Verdict


@dataclass(frozen=True, slots=True)
class Winner:
    """A treatment that a goal shows to be better, while no goal shows it to be worse.

    ``sentence`` and ``figures`` are of the goal's verdict.
    """

    variant: str
    sentence: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TestSituation:
    """Everything the rules may look at. Durations are in the log's and the database's time.

    ``units`` are those of the variant that has the fewest; ``mismatch`` is a sentence where the units did not
    arrive in the proportions they were assigned in.
    """

    __test__ = False
    guardrails: tuple[Verdict, ...]
    goals: tuple[Verdict, ...]
    secondary: tuple[Verdict, ...]
    winner: Winner | None
    promotes: bool
    health: Health
    health_sentence: str
    mismatch: str
    units: int
    minimum_units: int
    minutes_running: float
    planned_minutes: int
    evidence_age_seconds: float


Rule = Callable[[TestSituation], Judgement | None]


def roll_back_on_guardrail(situation: TestSituation) -> Judgement | None:
    """Roll back when a guardrail of any treatment has failed."""
    for verdict in situation.guardrails:
        if verdict.verdict == "fail":
            return Act("rollback", "roll_back_on_guardrail", verdict.sentence)
    return None


def roll_back_on_kill_switch(situation: TestSituation) -> Judgement | None:
    """Roll back when a treatment is down and the control is not."""
    if situation.health == "treatment_down":
        return Act("rollback", "roll_back_on_kill_switch", situation.health_sentence)
    return None


def freeze_when_all_are_down(situation: TestSituation) -> Judgement | None:
    """Decide nothing while a treatment and the control are down together."""
    if situation.health == "both_down":
        return Hold("freeze_when_all_are_down", situation.health_sentence)
    return None


def hold_without_data(situation: TestSituation) -> Judgement | None:
    """No data is neither success nor failure."""
    if not situation.units:
        return Hold("hold_without_data", "there are variants of which no unit is counted yet", have=0, need=1)
    return None


def hold_on_sample_ratio_mismatch(situation: TestSituation) -> Judgement | None:
    """Promote nothing on results that should not be believed."""
    if situation.mismatch:
        return Hold("hold_on_sample_ratio_mismatch", situation.mismatch)
    return None


def hold_on_stale_evidence(situation: TestSituation) -> Judgement | None:
    """Never promote on counts that may hide what is happening now."""
    age = situation.evidence_age_seconds
    if situation.winner is not None and age > FRESH_EVIDENCE_SECONDS:
        return Hold(
            "hold_on_stale_evidence",
            f"the counts are {age:.0f} s behind; waiting for the workers to catch up",
            have=age,
            need=FRESH_EVIDENCE_SECONDS,
        )
    return None


def hold_while_in_doubt(situation: TestSituation) -> Judgement | None:
    """Do not promote while a guardrail looks worse, though not provably so, or cannot say anything yet."""
    if situation.winner is None:
        return None
    for verdict in situation.guardrails:
        if verdict.verdict in ("inconclusive", "no_data") and verdict.variant == situation.winner.variant:
            return Hold("hold_while_in_doubt", verdict.sentence)
    return None


def hold_for_minimum_units(situation: TestSituation) -> Judgement | None:
    """Wait until every variant has the units that make a result more than a first impression."""
    have, need = situation.units, situation.minimum_units
    if have < need:
        return Hold(
            "hold_for_minimum_units",
            f"the smallest variant has {have:,} of at least {need:,} units",
            have=have,
            need=need,
        )
    return None


def promote_winner(situation: TestSituation) -> Judgement | None:
    """Promote the treatment that is better, where the test says so."""
    if situation.winner is None or not situation.promotes:
        return None
    return Act("promote", "promote_winner", situation.winner.sentence, variant_key=situation.winner.variant)


def hold_for_a_person(situation: TestSituation) -> Judgement | None:
    """Otherwise show it, for a person to decide."""
    if situation.winner is None:
        return None
    return Hold("hold_for_a_person", f"{situation.winner.sentence}; promote it, or stop the test")


def hold_at_planned_end(situation: TestSituation) -> Judgement | None:
    """At the end of the planned duration, say that it is over."""
    if situation.minutes_running < situation.planned_minutes:
        return None
    return Hold(
        "hold_at_planned_end",
        f"the planned {situation.planned_minutes:,} minutes have passed and no goal shows a treatment to be "
        "better; stop the test, or promote a variant by hand",
    )


def hold_for_evidence(situation: TestSituation) -> Judgement | None:
    """Otherwise wait for evidence."""
    return Hold("hold_for_evidence", "; ".join(verdict.sentence for verdict in situation.goals))


AB_TEST_RULES: tuple[Rule, ...] = (
    roll_back_on_guardrail,
    roll_back_on_kill_switch,
    freeze_when_all_are_down,
    hold_without_data,
    hold_on_sample_ratio_mismatch,
    hold_for_minimum_units,
    hold_on_stale_evidence,
    hold_while_in_doubt,
    promote_winner,
    hold_for_a_person,
    hold_at_planned_end,
    hold_for_evidence,
)


def judge_test(situation: TestSituation, rules: tuple[Rule, ...] = AB_TEST_RULES) -> Judgement:
    """Return what the first rule with something to say says."""
    for rule in rules:
        judgement = rule(situation)
        if judgement is not None:
            return judgement
    return Hold("nothing_to_do", "no rule applies")
