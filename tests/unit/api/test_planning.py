"""`services/api/planning.py`: what a dry run foretells of a canary, and how far that is from simulation."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.canary_power import CanaryPlan, promotion_plan, rollback_plan
from analytics.information import InformationLimit, rollback_limit
from analytics.simulation import PromotionTest, RollbackTest
from services.api.dry_run_views import Detectable
from services.api.foretelling import canary_would
from services.api.planning import (
    PROMOTION_OVER_THE_LIMIT,
    ROLLBACK_OVER_THE_LIMIT,
    WORSE_BY,
    Traffic,
    canary_plan,
)
from services.domain.canary import CanaryDefinition, Guardrail, SequentialPolicy

TRAFFIC = Traffic(requests_per_second=10.0, error_rate=0.013, content_filter_rate=0.0)
FILTERED = Guardrail("content_filter_rate", 0.01)


def foretold(*guardrails: Guardrail) -> tuple[list[Detectable], Detectable]:
    """What is foretold of rollbacks, and of the promotion."""
    policy = SequentialPolicy(guardrails=guardrails)
    *rollbacks, promotion = canary_plan(CanaryDefinition("new", policy=policy), TRAFFIC)
    return rollbacks, promotion


@pytest.mark.parametrize("margin", [0.0, 0.02])
@pytest.mark.parametrize("others", [(), (FILTERED,), (FILTERED, Guardrail("latency"))])
def test_the_margin_and_the_share_of_alpha_are_the_guardrails(
    margin: float, others: tuple[Guardrail, ...]
) -> None:
    rollbacks, _ = foretold(*others, Guardrail("error_rate", margin))
    found = {one.effect: one.units for one in rollbacks if one.insufficient is None}
    for worse_by in WORSE_BY[1:]:
        alpha = 0.01 / (1 + len(others))
        limit = rollback_limit(0.013, 0.013 + worse_by, 0.05, alpha=alpha, margin=margin)
        assert isinstance(limit, InformationLimit)
        assert found[worse_by] == round(ROLLBACK_OVER_THE_LIMIT * limit.requests)
    assert (WORSE_BY[0] in found) is (margin == 0)


@pytest.mark.parametrize(("margin", "within"), [(0.01, 1), (0.02, 1), (0.05, 2), (0.25, 3), (0.4, 3)])
def test_what_is_within_the_margin_is_never_rolled_back(margin: float, within: int) -> None:
    rollbacks, promotion = foretold(Guardrail("error_rate", margin))
    never = f"never, as that is within the guardrail's margin of {100 * margin:g}%"
    assert [one.insufficient for one in rollbacks] == [never] * within + [None] * (3 - within)
    assert promotion.insufficient is None


def test_nothing_is_said_of_error_rates_that_no_guardrail_watches() -> None:
    rollbacks, promotion = foretold(Guardrail("latency"))
    assert rollbacks == []
    assert "not worse by 2.0%" in promotion.sentence


def test_it_says_by_how_much_more_a_guardrail_must_be_worse() -> None:
    guardrails = (Guardrail("error_rate", 0.02), Guardrail("latency"), Guardrail("content_filter_rate"))
    would = canary_would(CanaryDefinition("new", policy=SequentialPolicy(guardrails=guardrails)), "old")
    named = "error_rate (by more than 2%), latency, content_filter_rate is shown to be worse"
    assert any(f"roll back as soon as {named}" in sentence for sentence in would)


@pytest.mark.parametrize(
    ("control", "treatment", "share", "margin"),
    [
        (0.001, 0.251, 0.05, 0.0),
        (0.001, 0.251, 0.01, 0.0),
        (0.01, 0.06, 0.05, 0.0),
        (0.001, 0.251, 0.05, 0.02),
    ],
)
def test_rollbacks_take_no_more_than_is_foretold(
    control: float, treatment: float, share: float, margin: float
) -> None:
    test, random = RollbackTest(0.01, margin), np.random.default_rng(1)
    plan = rollback_plan(control, treatment, share, test=test, horizon=10_000, random=random, runs=1_000)
    assert isinstance(plan, CanaryPlan)
    assert plan.decided > 0.99
    assert 1.25 < 1 / plan.efficiency < ROLLBACK_OVER_THE_LIMIT


def test_promotions_take_no_more_than_is_foretold() -> None:
    test, random = PromotionTest(0.025, 0.02), np.random.default_rng(1)
    plan = promotion_plan(0.01, 0.01, 0.5, test=test, horizon=6_000, random=random, runs=400)
    assert isinstance(plan, CanaryPlan)
    assert plan.decided > 0.99
    assert 1.15 < 1 / plan.efficiency < PROMOTION_OVER_THE_LIMIT
