"""Shadows look at what production knows of endpoints, and change nothing of it."""

from services.domain.configuration import BreakerSettings, EndpointConfig
from services.domain.status import OutcomeStatus
from services.gateway.breaker import BreakerState, Result
from services.gateway.health import HealthBook, LiveAttempt, ProbeResult
from services.gateway.shadow_health import ShadowBook

QUICK = BreakerSettings(consecutive_failures=2, open_seconds=10.0)
ENDPOINT = EndpointConfig(version=(1, 1), key="e", endpoint_kind="openai", base_url="http://e", breaker=QUICK)


def attempt(book: HealthBook, now: float) -> LiveAttempt | None:
    health = book.of(ENDPOINT)
    breaker = health.breaker("m", QUICK)
    permit = breaker.admit(now)
    return None if permit is None else LiveAttempt(ENDPOINT, None, health, breaker, permit, now)


def fail(book: HealthBook, now: float) -> None:
    one = attempt(book, now)
    assert one is not None
    one.end(OutcomeStatus.PROVIDER_ERROR, 500, now, retry_after_seconds=0.0)


def test_failures_of_shadows_are_their_own() -> None:
    production = HealthBook()
    shadows = ShadowBook(production)
    for _ in range(2):
        fail(shadows, 0.0)
    assert attempt(shadows, 1.0) is None
    assert attempt(production, 1.0) is not None
    assert production.of(ENDPOINT).breaker("m", QUICK).state(1.0) is BreakerState.CLOSED


def test_what_production_leaves_alone_shadows_do_not_ask() -> None:
    production = HealthBook()
    shadows = ShadowBook(production)
    for _ in range(2):
        fail(production, 0.0)
    assert attempt(shadows, 1.0) is None
    # Half-open: its trials are for callers.
    assert attempt(shadows, 11.0) is None
    breaker = production.of(ENDPOINT).breaker("m", QUICK)
    for _ in range(QUICK.successes_to_close):
        permit = breaker.admit(11.0)
        assert permit is not None
        breaker.settle(permit, Result.SUCCESS, 11.0)
    assert attempt(shadows, 11.0) is not None


def test_shadows_get_the_room_that_production_leaves() -> None:
    production = HealthBook()
    shadows = ShadowBook(production)
    ours, theirs = shadows.of(ENDPOINT), production.of(ENDPOINT)
    theirs.begin()
    ours.begin()
    assert ours.at_limit(2)
    assert not theirs.at_limit(2)
    theirs.end()
    assert not ours.at_limit(2)


def test_probes_are_productions() -> None:
    production = HealthBook()
    shadows = ShadowBook(production)
    assert shadows.of(ENDPOINT).probe is None
    probed = production.of(ENDPOINT).probe = ProbeResult(False, 3, "down", 0.0)
    assert shadows.of(ENDPOINT).probe is probed
    production.forget_all_but(())
    assert shadows.of(ENDPOINT).probe is None
