"""What first errors, which the rollback counts, can see and what they mean."""

import numpy as np

from analytics.simulation import RollbackTest
from analytics.traffic import Counting, StickyUnits, Traffic

ROLLBACK = RollbackTest(0.05)


def test_first_errors_have_more_power_than_first_requests() -> None:
    source = StickyUnits(np.full(20_000, 0.05), 0.01, 0.04, 10, correlation=0.1)
    traffic = source.draw(np.random.default_rng(111), 150)
    assert ROLLBACK.stops(traffic, Counting.FIRST_ERRORS).rate > 0.8
    assert ROLLBACK.stops(traffic, Counting.FIRST_REQUEST).rate < 0.5


def test_first_errors_blame_a_treatment_that_fails_as_often_but_hits_more_units() -> None:
    """Not a false alarm: what is compared is how many units meet an error, and that has grown.

    The control's errors come from few units; the treatment's, as many, from all of them.
    """
    random = np.random.default_rng(112)
    drawn = StickyUnits(np.full(20_000, 0.5), 0.05, 0.05, 10, correlation=0.5).draw(random, 60)
    spread = random.random(drawn.errors.shape) < 0.05
    errors = np.where(drawn.treated, spread, drawn.errors)
    traffic = Traffic(drawn.shares, drawn.treated, errors, drawn.units)
    assert ROLLBACK.stops(traffic, Counting.FIRST_ERRORS).rate > 0.9
