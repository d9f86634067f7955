"""Do rates differ at all: exact evidence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.columns import TickCounts
from analytics.evidence import Evidence, EvidencePath
from analytics.results import Insufficient
from analytics.two_sided import log_uniform_mixture, two_sided_evidence, two_sided_path

EVENTS = st.integers(0, 200)
SHARES = st.sampled_from([0.05, 0.25, 0.5, 0.9])


def evidence(*counts: TickCounts, alpha: float = 0.05) -> Evidence:
    result = two_sided_evidence(counts, alpha=alpha)
    assert isinstance(result, Evidence)
    return result


def test_a_control_without_events_against_forty() -> None:
    assert math.exp(log_uniform_mixture(40, 0, share=0.5)) == pytest.approx(2.7e10, rel=0.01)
    found = evidence(TickCounts(0, 0.5, 40, 0, 960))
    assert found.crossed
    assert found.e_value > 1e9
    assert 0.0 < found.p_value < 1e-9


@given(treatment=EVENTS, control=EVENTS, share=SHARES)
def test_no_side_is_preferred(treatment: int, control: int, share: float) -> None:
    if treatment + control == 0:
        return
    one = evidence(TickCounts(0, share, treatment, control, 1000))
    other = evidence(TickCounts(0, 1.0 - share, control, treatment, 1000))
    assert one.log_e_value == pytest.approx(other.log_e_value, abs=1e-9)
    mixtures = [
        log_uniform_mixture(treatment, control, share=share),
        log_uniform_mixture(control, treatment, share=1.0 - share),
    ]
    assert mixtures[0] == pytest.approx(mixtures[1], abs=1e-9)


@given(treatment=EVENTS, control=EVENTS)
def test_the_grid_is_near_the_uniform_mixture(treatment: int, control: int) -> None:
    """Neither knows the ratio beforehand; where there is evidence they find much the same."""
    mixture = log_uniform_mixture(treatment, control, share=0.5)
    if mixture > 5.0:
        grid = evidence(TickCounts(0, 0.5, treatment, control, 0)).log_e_value
        assert grid > 0.75 * mixture - 2.0


@given(more=st.integers(0, 10_000))
def test_observations_without_an_event_say_nothing(more: int) -> None:
    few, many = (evidence(TickCounts(0, 0.3, 9, 2, others)) for others in (0, more))
    assert few.log_e_value == pytest.approx(many.log_e_value)


@given(share=st.floats(0.001, 0.999), length=st.integers(0, 20))
def test_the_mixture_is_a_fair_game(share: float, length: int) -> None:
    """Over all outcomes of so many events its mean is 1 where rates are equal."""
    chances = [math.comb(length, k) * share**k * (1.0 - share) ** (length - k) for k in range(length + 1)]
    values = [math.exp(log_uniform_mixture(k, length - k, share=share)) for k in range(length + 1)]
    assert np.dot(chances, values) == pytest.approx(1.0)


def test_the_path_ends_where_the_evidence_is() -> None:
    counts = [TickCounts(5, 0.5, 9, 0, 100), TickCounts(3, 0.5, 4, 1, 100)]
    path = two_sided_path(counts)
    assert isinstance(path, EvidencePath)
    assert path.ticks == (3, 5)
    assert path.log_e_values[-1] == evidence(*counts).log_e_value
    earlier = two_sided_evidence(counts, alpha=0.05, now_tick=3)
    assert isinstance(earlier, Evidence)
    assert path.log_e_values[0] == earlier.log_e_value


def test_no_event_is_no_evidence() -> None:
    result = two_sided_evidence([TickCounts(0, 0.5, 0, 0, 1000)], alpha=0.05)
    assert isinstance(result, Insufficient)
    assert "1000 observations" in result.reason
    assert isinstance(two_sided_path([]), Insufficient)


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_false_alarms_looked_at_after_every_batch(rate: float) -> None:
    alpha, runs, random = 0.1, 300, np.random.default_rng(3)
    false = 0
    for _ in range(runs):
        rows = []
        for tick in range(20):
            share = (0.05, 0.25, 0.5)[tick * 3 // 20]
            drift = rate * (1.0 + tick / 20)
            drawn = random.multinomial(200, [share * drift, (1 - share) * drift, 1 - drift])
            rows.append(TickCounts(tick, share, *drawn.tolist()))
        result = two_sided_evidence(rows, alpha=alpha)
        false += isinstance(result, Evidence) and result.has_crossed
    assert false / runs <= alpha + 4.0 * (alpha * (1.0 - alpha) / runs) ** 0.5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_compares_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        log_uniform_mixture(1, 1, share=share)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        log_uniform_mixture(-1, 1, share=0.5)
