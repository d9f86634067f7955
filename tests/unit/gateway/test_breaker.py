"""The circuit breaker: case by case, and as a state machine under arbitrary histories."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.domain.configuration import BreakerSettings
from services.gateway.breaker import SETTLED, Breaker, BreakerState, Permit, Result

SMALL = BreakerSettings(
    window_seconds=10.0,
    minimum_requests=8,
    error_ratio=0.5,
    consecutive_failures=4,
    open_seconds=1.0,
    longest_open_seconds=6.0,
    trial_requests=2,
    successes_to_close=2,
)


def ask(breaker: Breaker, result: Result, now: float) -> None:
    permit = breaker.admit(now)
    assert permit is not None
    breaker.settle(permit, result, now)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(SMALL)
    for _ in range(4):
        ask(breaker, Result.FAILURE, now)
    assert breaker.state(now) is BreakerState.OPEN
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(SMALL)
    for result in (Result.FAILURE, Result.FAILURE, Result.FAILURE, Result.SUCCESS, Result.NEUTRAL):
        ask(breaker, result, 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    breaker = opened()
    assert breaker.admit(0.5) is None
    assert breaker.wait_seconds(0.25) == 0.75


def test_it_opens_by_the_share_of_failures_once_there_are_enough_requests() -> None:
    breaker = Breaker(SMALL)
    for number in range(7):
        ask(breaker, Result.FAILURE if number % 2 else Result.SUCCESS, number * 0.1)
        assert breaker.state(number * 0.1) is BreakerState.CLOSED
    ask(breaker, Result.FAILURE, 0.8)
    assert breaker.state(0.8) is BreakerState.OPEN


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = Breaker(SMALL)
    for number in range(40):
        ask(breaker, Result.FAILURE if number % 2 else Result.SUCCESS, number * 2.0)
    assert breaker.state(80.0) is BreakerState.CLOSED


def test_half_open_lets_few_try_and_closes_when_they_succeed() -> None:
    breaker = opened()
    first, second = breaker.admit(1.0), breaker.admit(1.0)
    assert first is not None
    assert second is not None
    assert breaker.admit(1.0) is None
    assert breaker.state(1.0) is BreakerState.HALF_OPEN
    breaker.settle(first, Result.NEUTRAL, 1.1)
    third = breaker.admit(1.1)
    assert third is not None
    breaker.settle(second, Result.SUCCESS, 1.2)
    breaker.settle(third, Result.SUCCESS, 1.3)
    assert breaker.state(1.3) is BreakerState.CLOSED


def test_a_trial_that_fails_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(5):
        waits.append(breaker.wait_seconds(now))
        now = breaker.open_until
        ask(breaker, Result.FAILURE, now)
    assert waits == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_after_a_steady_time_it_begins_with_a_short_opening_again() -> None:
    breaker = opened()
    ask(breaker, Result.FAILURE, 1.0)
    for _ in range(2):
        ask(breaker, Result.SUCCESS, 3.0)
    for _ in range(4):
        ask(breaker, Result.FAILURE, 20.0)
    assert breaker.wait_seconds(20.0) == 1.0


def test_a_stream_that_begins_is_enough_for_a_trial() -> None:
    breaker = opened()
    for _ in range(2):
        permit = breaker.admit(1.0)
        assert permit is not None
        assert breaker.answering(permit, 1.0) == SETTLED
    assert breaker.state(1.0) is BreakerState.CLOSED
    permit = breaker.admit(1.0)
    assert permit is not None
    assert breaker.answering(permit, 1.0) == permit, "while closed, how it ends is what counts"


def test_retry_after_opens_it_within_a_limit_and_never_shortens() -> None:
    breaker = Breaker(SMALL)
    breaker.stay_away(3.0, 0.0)
    assert breaker.wait_seconds(0.0) == 3.0
    breaker.stay_away(1.0, 0.5)
    assert breaker.open_until == 3.0
    breaker.stay_away(1e9, 1.0)
    assert breaker.open_until == 7.0


@pytest.mark.parametrize("result", list(Result))
def test_requests_from_before_it_opened_change_nothing(result: Result) -> None:
    breaker = Breaker(SMALL)
    straggler = breaker.admit(0.0)
    assert straggler is not None
    breaker.stay_away(2.0, 0.0)
    breaker.settle(straggler, result, 1.0)
    assert breaker.open_until == 2.0
    trial = breaker.admit(2.0)
    assert trial is not None
    breaker.settle(straggler, result, 2.0)
    assert breaker.admit(2.0) is not None, "the straggler's end freed no trial's place and took none"
    assert breaker.admit(2.0) is None


class Histories(RuleBasedStateMachine):
    """Requests begin and end in any order, providers ask for rest, settings change, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(SMALL)
        self.now = 0.0
        self.under_way: list[tuple[Permit, bool]] = []
        self.promised = float("-inf")

    @rule(seconds=st.floats(0.0, 5.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_request_comes(self) -> None:
        before = self.breaker.state(self.now)
        permit = self.breaker.admit(self.now)
        if before is BreakerState.OPEN:
            assert permit is None
        if before is BreakerState.CLOSED:
            assert permit is not None
        if permit is not None:
            self.under_way.append((permit, before is BreakerState.HALF_OPEN))

    @precondition(lambda self: self.under_way)
    @rule(which=st.randoms(use_true_random=False), result=st.sampled_from(Result))
    def a_request_ends(self, which: object, result: Result) -> None:
        permit, _ = self.under_way.pop(which.randrange(len(self.under_way)))  # type: ignore[attr-defined]
        self.breaker.settle(permit, result, self.now)

    @precondition(lambda self: self.under_way)
    @rule()
    def a_stream_begins_and_ends(self) -> None:
        permit, _ = self.under_way.pop()
        self.breaker.settle(self.breaker.answering(permit, self.now), Result.FAILURE, self.now)

    @rule(seconds=st.floats(0.001, 100.0))
    def a_provider_asks_for_rest(self, seconds: float) -> None:
        self.breaker.stay_away(seconds, self.now)
        assert self.breaker.open_until >= self.now + min(seconds, SMALL.longest_open_seconds)

    @rule(longest=st.floats(0.5, 20.0))
    def settings_change(self, longest: float) -> None:
        changed = BreakerSettings(window_seconds=5.0, longest_open_seconds=longest, trial_requests=2)
        self.breaker.adopt(changed)
        self.breaker.adopt(SMALL)

    @invariant()
    def its_time_is_never_shortened(self) -> None:
        assert self.breaker.open_until >= self.promised
        self.promised = self.breaker.open_until
        if self.now < self.promised:
            assert self.breaker.state(self.now) is BreakerState.OPEN
        assert self.promised <= self.now + SMALL.longest_open_seconds

    @invariant()
    def few_trials_are_under_way(self) -> None:
        stretch = self.breaker._stretch
        trials = [permit for permit, trial in self.under_way if trial and permit == stretch]
        assert len(trials) <= SMALL.trial_requests
        if self.breaker._state is BreakerState.HALF_OPEN:
            assert len(trials) == self.breaker._trials


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=200, stateful_step_count=60)
