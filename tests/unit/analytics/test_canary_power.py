"""What a canary takes, planned beforehand."""

import numpy as np
import pytest

from analytics.canary_power import CanaryPlan, promotion_plan, rollback_plan
from analytics.results import Insufficient
from analytics.simulation import PromotionTest, RollbackTest


def test_a_rollback() -> None:
    """The reference figure of 116 mean canary requests for 1 % against 5 % at a share of 5 %."""
    plan = rollback_plan(
        0.01, 0.05, 0.05, test=RollbackTest(0.05), horizon=12_000, random=np.random.default_rng(1)
    )
    assert isinstance(plan, CanaryPlan)
    assert plan.decided > 0.99
    assert plan.mean_treatment_requests == pytest.approx(116, rel=0.12)
    assert isinstance(plan.median_treatment_requests, float)
    assert plan.median_treatment_requests < plan.mean_treatment_requests
    assert plan.limit.treatment_requests == pytest.approx(80, abs=1)
    assert 0.55 < plan.efficiency < 0.85


def test_a_promotion() -> None:
    """The reference figure of 503 mean canary requests for 1 % in both at a share of 50 %."""
    plan = promotion_plan(
        0.01, 0.01, 0.5, test=PromotionTest(0.05, 0.02), horizon=5_000, random=np.random.default_rng(2)
    )
    assert isinstance(plan, CanaryPlan)
    assert plan.mean_treatment_requests == pytest.approx(503, rel=0.12)


def test_a_horizon_that_is_too_near() -> None:
    plan = rollback_plan(
        0.01, 0.02, 0.05, test=RollbackTest(0.05), horizon=1_000, random=np.random.default_rng(3), runs=100
    )
    assert isinstance(plan, CanaryPlan)
    assert plan.decided < 0.3
    assert isinstance(plan.median_treatment_requests, Insufficient)


def test_the_same_seed_gives_the_same_plan() -> None:
    plans = [
        promotion_plan(
            0.01, 0.01, 0.5, test=PromotionTest(), horizon=2_000, random=np.random.default_rng(4), runs=50
        )
        for _ in range(2)
    ]
    assert plans[0] == plans[1]


def test_nothing_to_find_is_said() -> None:
    random = np.random.default_rng(5)
    assert isinstance(
        rollback_plan(0.02, 0.02, 0.5, test=RollbackTest(), horizon=10, random=random), Insufficient
    )
    assert isinstance(
        promotion_plan(0.02, 0.05, 0.5, test=PromotionTest(), horizon=10, random=random), Insufficient
    )
