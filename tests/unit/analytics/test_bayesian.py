"""The posterior, its chances and its losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.bayesian import NormalPrior, Posterior, bayesian, expected_loss
from analytics.estimates import Estimate
from analytics.results import Insufficient
from tests.unit.analytics.compared import rates


def posterior(treatment: Estimate, control: Estimate, **options: object) -> Posterior:
    result = bayesian(treatment, control, **options)  # type: ignore[arg-type]
    assert isinstance(result, Posterior)
    return result


def test_the_chance_to_beat_the_control() -> None:
    result = posterior(*rates())
    assert result.chance_to_beat_control == pytest.approx(0.97896664, abs=1e-8)
    assert result.chance_to_beat_control + result.chance_of_being_worse == pytest.approx(1.0)


def test_where_less_is_better_everything_turns_round() -> None:
    more, less = posterior(*rates()), posterior(*rates(), lower_is_better=True)
    assert less.chance_to_beat_control == more.chance_of_being_worse
    assert (less.loss_of_treatment, less.loss_of_control) == (more.loss_of_control, more.loss_of_treatment)
    assert less.interval == more.interval


def test_losses_are_expectations() -> None:
    draws = np.random.default_rng(1).normal(0.3, 0.5, 1_000_000)
    assert expected_loss(0.3, 0.5) == pytest.approx(np.maximum(-draws, 0.0).mean(), abs=0.002)
    assert expected_loss(-0.3, 0.5) == pytest.approx(np.maximum(draws, 0.0).mean(), abs=0.002)


@given(mean=st.floats(-100, 100), deviation=st.floats(0.01, 10))
def test_the_losses_differ_by_the_effect(mean: float, deviation: float) -> None:
    assert expected_loss(-mean, deviation) - expected_loss(mean, deviation) == pytest.approx(mean, abs=1e-9)
    assert expected_loss(mean, deviation) >= 0.0


def test_a_prior_pulls_and_narrows() -> None:
    flat, sceptical = posterior(*rates()), posterior(*rates(), prior=NormalPrior(0.0, 0.002))
    assert 0.0 < sceptical.point < flat.point
    assert sceptical.interval.width < flat.interval.width
    assert 0.5 < sceptical.chance_to_beat_control < flat.chance_to_beat_control


def test_a_wide_prior_is_the_flat_one() -> None:
    flat, wide = posterior(*rates()), posterior(*rates(), prior=NormalPrior(0.0, 1e4))
    assert wide.point == pytest.approx(flat.point)
    assert wide.chance_to_beat_control == pytest.approx(flat.chance_to_beat_control)


def test_a_small_chance_is_not_zero() -> None:
    result = posterior(Estimate(1.0, 1e-6, 100, 99), Estimate(0.0, 1e-6, 100, 99))
    assert result.chance_of_being_worse > 0.0


def test_without_evidence_there_is_no_posterior() -> None:
    assert isinstance(bayesian(Insufficient("nothing"), rates()[1]), Insufficient)


@pytest.mark.parametrize("deviation", [0.0, -1.0, float("inf")])
def test_improper_priors_are_refused(deviation: float) -> None:
    with pytest.raises(ValueError, match="prior"):
        NormalPrior(0.0, deviation)
