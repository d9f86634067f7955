"""p-values read together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.corrections import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


def test_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.02, 0.04, 0.04, 0.02))


@given(p=P_VALUES)
def test_order_is_kept_and_nothing_becomes_smaller(p: list[float]) -> None:
    for correction in (holm, benjamini_hochberg):
        adjusted = correction(p)
        assert all(before <= after <= 1.0 for before, after in zip(p, adjusted, strict=True))
        ranked = [adjusted[i] for i in np.argsort(p, kind="stable")]
        assert ranked == sorted(ranked)
    assert all(b <= h + 1e-12 for b, h in zip(benjamini_hochberg(p), holm(p), strict=True))


@given(p=P_VALUES, seed=st.integers(0, 1000))
def test_each_keeps_its_value_in_any_order(p: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(p))
    for correction in (holm, benjamini_hochberg):
        mixed = correction([p[i] for i in order])
        assert mixed == pytest.approx([correction(p)[i] for i in order])


@given(p=P_VALUES, alpha=st.floats(0.001, 0.5))
def test_holm_rejects_what_its_steps_reject(p: list[float], alpha: float) -> None:
    adjusted = holm(p)
    for step, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] * (len(p) - step) > alpha:
            assert adjusted[i] > alpha
            break
        assert adjusted[i] <= alpha


@given(p=P_VALUES, more=st.integers(0, 5))
def test_a_planned_test_without_a_result_counts_as_one_of_p_1(p: list[float], more: int) -> None:
    for correction in (holm, benjamini_hochberg):
        padded = correction([*p, *[1.0] * more])[: len(p)]
        assert correction(p, planned=len(p) + more) == pytest.approx(padded)


def test_no_tests_no_values() -> None:
    assert holm([]) == ()
    assert benjamini_hochberg([]) == ()


@pytest.mark.parametrize("p", [[-0.1], [1.1], [float("nan")]])
def test_what_is_no_probability_is_refused(p: list[float]) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm(p)
    with pytest.raises(ValueError, match="planned"):
        benjamini_hochberg([0.1, 0.2], planned=1)


def test_error_rates() -> None:
    """5 tests of which 3 are of nothing: any false one with Holm, the false part with Benjamini-Hochberg."""
    random, runs, alpha = np.random.default_rng(8), 2_000, 0.1
    any_false, false_parts = 0, 0.0
    for _ in range(runs):
        p = [*random.random(3).tolist(), *(random.random(2) * 1e-3).tolist()]
        any_false += any(value <= alpha for value in holm(p)[:3])
        found = [value <= alpha for value in benjamini_hochberg(p)]
        false_parts += sum(found[:3]) / max(1, sum(found))
    error = 4.0 * (alpha * (1.0 - alpha) / runs) ** 0.5
    assert any_false / runs <= alpha + error
    assert false_parts / runs <= alpha + error
