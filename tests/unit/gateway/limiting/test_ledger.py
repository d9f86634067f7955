"""The ledger: what is booked is settled once, in every scope, and refusals say what and when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import (
    CredentialConfig,
    EndpointConfig,
    Prices,
    RouteConfig,
    TeamConfig,
    VariantConfig,
)
from services.domain.escrow import Standing
from services.domain.limits import Limits
from services.gateway.body import open_body
from services.gateway.limiting.estimates import Cost, cost_of
from services.gateway.limiting.heads import duration, without_limits
from services.gateway.limiting.ledger import Ledger, Reservation
from services.gateway.limiting.plans import Plan, Scope, plan_of
from services.gateway.limiting.refusals import (
    LimitReached,
    NeverFits,
    QuotaExhausted,
    RateLimited,
)
from services.gateway.surfaces import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Call, Surface
from services.gateway.view import ConfigView

DAY = 20_000.75
EVERYTHING = Limits(
    requests_per_minute=100,
    tokens_per_minute=1_000,
    concurrency=10,
    tokens_per_day=5_000,
    dollars_per_day=0.01,
)


def alone() -> Ledger:
    return Ledger(Standing(1), 100)


def plan(*limits: Limits, unit: Limits | None = None) -> Plan:
    scopes = tuple(Scope("key", f"key-{number}", one) for number, one in enumerate(limits))
    return Plan(scopes, None if unit is None else Scope("unit", "support", unit), (None,), (0, 0))


def use(ledger: Ledger) -> list[tuple[int, ...]]:
    """What every meter says."""
    found = []
    for meter in ledger.meters.by_scope.values():
        day = meter.day
        of_day = (0, 0) if day is None else (day.tokens, day.nanos)
        found.append((meter.requests, meter.tokens, meter.in_flight, *of_day))
    return found


Fate = tuple[int, int, int, int, bool]
fates = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 400),
        st.integers(0, 900),
        st.integers(0, 4_000_000),
        st.booleans(),
    ),
    max_size=40,
)


@given(fates, st.integers(1, 8))
def test_whatever_becomes_of_requests_only_what_they_used_is_left(fates: list[Fate], at_a_time: int) -> None:
    ledger, asked = alone(), plan(EVERYTHING, Limits(tokens_per_minute=2_000), unit=EVERYTHING)
    held: list[tuple[Reservation, Fate]] = []
    requests = tokens = nanos = 0

    def settle_one() -> None:
        nonlocal requests, tokens, nanos
        reservation, (_, _, used, cost, made) = held.pop(0)
        ledger.settle(reservation, used if made else 0, cost if made else 0, request=made)
        # A second time changes nothing.
        ledger.settle(reservation, 999, 999)
        requests, tokens, nanos = requests + made, tokens + used * made, nanos + cost * made

    for fate in fates:
        try:
            held.append((ledger.reserve(asked, 7, Cost(fate[0], fate[1], 1_000), 50.0, DAY), fate))
        except LimitReached:
            continue
        while len(held) >= at_a_time:
            settle_one()
    while held:
        settle_one()
    assert ledger.held == 0
    assert all(found[2] == 0 for found in use(ledger))
    if use(ledger):
        assert use(ledger) == [
            (requests, tokens, 0, tokens, nanos),
            (requests, tokens, 0, 0, 0),
            (requests, tokens, 0, tokens, nanos),
        ]


@pytest.mark.parametrize(
    ("limits", "error", "words"),
    [
        (Limits(requests_per_minute=2), RateLimited, "your key may use 2 requests in any 60 seconds"),
        (Limits(tokens_per_minute=250), RateLimited, "has 50 left"),
        (Limits(concurrency=2), RateLimited, "2 requests at a time"),
        (Limits(tokens_per_day=250), QuotaExhausted, "250 tokens a day"),
        (Limits(dollars_per_day=2e-6), QuotaExhausted, "2e-06 dollars a day"),
    ],
)
def test_a_refusal_says_what_and_holds_nothing(limits: Limits, error: type, words: str) -> None:
    ledger, asked, cost = alone(), plan(Limits(requests_per_minute=100), limits), Cost(60, 40, 1_000)
    for _ in range(2):
        ledger.reserve(asked, None, cost, 50.0, DAY)
    before = use(ledger)
    with pytest.raises(error, match=words) as refused:
        ledger.reserve(asked, None, cost, 50.0, DAY)
    assert (use(ledger), ledger.held) == (before, 2)
    assert b"retry-after: " in refused.value.fields
    assert (b"x-should-retry: false" in refused.value.fields) == (error is QuotaExhausted)


@pytest.mark.parametrize(
    ("limits", "words"),
    [(Limits(concurrency=1), "may use 1 request at a time"), (Limits(dollars_per_day=1), "1 dollar a day")],
)
def test_one_is_not_many(limits: Limits, words: str) -> None:
    ledger, cost = alone(), Cost(60, 40, 600_000_000)
    ledger.reserve(plan(limits), None, cost, 50.0, DAY)
    with pytest.raises((RateLimited, QuotaExhausted), match=words):
        ledger.reserve(plan(limits), None, cost, 50.0, DAY)


def test_retry_after_is_when_it_would_fit() -> None:
    ledger, asked = alone(), plan(Limits(requests_per_minute=2))
    ledger.reserve(asked, None, Cost(), 50.0, DAY)
    ledger.reserve(asked, None, Cost(), 70.0, DAY)
    with pytest.raises(RateLimited) as refused:
        ledger.reserve(asked, None, Cost(), 80.0, DAY)
    assert b"retry-after: 31\r\nretry-after-ms: 30250\r\n" in refused.value.fields
    with pytest.raises(RateLimited):
        ledger.reserve(asked, None, Cost(), 80.0 + 30.2, DAY)
    ledger.reserve(asked, None, Cost(), 80.0 + 30.25, DAY)


def test_a_budget_begins_anew_with_the_day() -> None:
    ledger, asked = alone(), plan(Limits(tokens_per_day=100))
    yesterday = ledger.reserve(asked, None, Cost(60, 40), 50.0, DAY)
    with pytest.raises(QuotaExhausted) as refused:
        ledger.reserve(asked, None, Cost(1), 50.0, DAY)
    assert b"retry-after: 21600\r\n" in refused.value.fields
    ledger.reserve(asked, None, Cost(60, 40), 60.0, DAY + 0.3)
    # What is settled after its day changes nothing of the next.
    ledger.settle(yesterday, 500, 0)
    (meter,) = ledger.meters.by_scope.values()
    assert meter.day is not None
    assert meter.day.tokens == 100


@pytest.mark.parametrize(
    "limits", [Limits(tokens_per_minute=99), Limits(tokens_per_day=99), Limits(dollars_per_day=1e-7)]
)
def test_what_never_fits(limits: Limits) -> None:
    with pytest.raises(NeverFits, match="never fits"):
        alone().reserve(plan(limits), None, Cost(60, 40, 1_000), 50.0, DAY)


def test_an_overdrawn_budget_is_closed_to_what_costs_nothing_known() -> None:
    ledger, asked = alone(), plan(Limits(dollars_per_day=1e-6))
    ledger.settle(ledger.reserve(asked, None, Cost(), 50.0, DAY), 0, 1_500)
    with pytest.raises(QuotaExhausted):
        ledger.reserve(asked, None, Cost(), 50.0, DAY)


def test_memory_stays_flat_with_ever_new_units() -> None:
    ledger, asked = Ledger(Standing(1), 1_000), plan(unit=Limits(requests_per_minute=5))
    for number in range(5_000):
        now = 50.0 + number * 0.1
        ledger.settle(ledger.reserve(asked, number, Cost(), now, DAY), 0, 0)
        for meter in ledger.changed:
            meter.changed = False
        ledger.changed.clear()
        ledger.meters.sweep(int(now * 4), int(DAY), 0.05)
    # Ten a second: those of the last minute, and those not looked at since.
    assert len(ledger.meters.by_scope) < 1_000
    assert ledger.meters.evicted == 0


def test_beyond_the_bound_the_oldest_go_and_those_under_way_stay() -> None:
    ledger, asked = Ledger(Standing(1), 10), plan(unit=Limits(requests_per_minute=5))
    busy = ledger.reserve(asked, 0, Cost(), 50.0, DAY)
    for number in range(1, 30):
        ledger.settle(ledger.reserve(asked, number, Cost(), 50.0, DAY), 0, 0)
    assert len(ledger.meters.by_scope) == 10
    assert ledger.meters.evicted == 20
    assert busy.meters[0] in ledger.meters.by_scope.values()


def test_no_flood_of_units_pushes_out_what_is_configured() -> None:
    """Wherever they are heard of first, and though nothing of theirs is under way and none has a budget."""
    limits = Limits(requests_per_minute=100)
    credential = CredentialConfig(
        version=(1, 1), key_hash="h", key_id="key-1", label="l", team="checkout", limits=limits
    )
    team = TeamConfig(version=(1, 1), key="checkout", limits=limits)
    route = RouteConfig(
        version=(1, 1),
        key="support",
        stable="a",
        variants={},
        allocation_version=1,
        limits=limits,
        unit_limits=Limits(requests_per_minute=5),
    )
    view = ConfigView()
    ledger = Ledger(Standing(1), 10, lambda: view.lasting)
    early = Scope("team", "checkout", limits).number
    ledger.meters.begin(early, 200).take(7, 0)
    for state in (credential, team, route):
        view.put(state)
    asked = view.plan(credential, route)
    assert asked is not None
    for number in range(60):
        ledger.settle(ledger.reserve(asked, number, Cost(), 50.0, DAY), 0, 0)
    kept = {scope.name: ledger.meters.by_scope[scope.number].requests for scope in asked.scopes}
    assert kept == {"key-1": 60, "checkout": 67, "support": 60}
    assert len(ledger.meters.by_scope) == 10 + 3
    assert ledger.meters.evicted == 50
    for number in range(33):
        ledger.reserve(asked, 1_000 + number, Cost(), 50.0, DAY)
    with pytest.raises(RateLimited, match="checkout"):
        ledger.reserve(asked, 2_000, Cost(), 50.0, DAY)


def test_meters_that_are_idle_are_forgotten_and_make_room() -> None:
    ledger, asked = Ledger(Standing(1), 10), plan(unit=Limits(requests_per_minute=5))
    for minute in range(5):
        now = 50.0 + minute * 120
        for number in range(10):
            ledger.settle(ledger.reserve(asked, minute * 10 + number, Cost(), now, DAY), 0, 0)
        for meter in ledger.changed:
            meter.changed = False
        ledger.changed.clear()
        ledger.meters.sweep(int((now + 90) * 4), int(DAY), 1.0)
        assert not ledger.meters.by_scope
    assert ledger.meters.evicted == 0


def body(surface: Surface = CHAT, **members: Any) -> Any:
    return open_body(json.dumps({"model": "support"} | members).encode(), Call(surface))


@pytest.mark.parametrize(
    ("surface", "members", "caps", "completion"),
    [
        (CHAT, {}, (None,), 1024),
        (CHAT, {"max_tokens": 16}, (None,), 16),
        (CHAT, {"max_tokens": 12, "n": 3}, (None,), 36),
        # Whoever names a small cap that the provider does not heed reserves no less for it.
        (CHAT, {"max_completion_tokens": 8, "max_tokens": 16}, (None,), 16),
        (CHAT, {"max_output_tokens": 1}, (None,), 1024),
        (COMPLETIONS, {"max_tokens": 5, "max_completion_tokens": 1}, (None,), 5),
        (RESPONSES, {"max_output_tokens": 7, "max_tokens": 1}, (None,), 7),
        (CHAT, {"max_tokens": None}, (None,), 1024),
        (CHAT, {"max_tokens": "many", "n": 2.5}, (None,), 1024),
        (CHAT, {"max_tokens": 16, "best_of": 4, "n": 2}, (None,), 64),
        (CHAT, {"max_tokens": 16}, (100,), 100),
        (CHAT, {"max_tokens": 200}, (100, None), 200),
        (CHAT, {}, (100,), 100),
        (EMBEDDINGS, {"input": "x", "max_tokens": 5}, (None,), 0),
    ],
)
def test_the_estimate_of_an_answer(
    surface: Surface, members: dict[str, Any], caps: tuple[int | None, ...], completion: int
) -> None:
    asked = Plan((Scope("key", "k", EVERYTHING),), None, caps, (2_000_000_000, 10_000_000_000))
    request = body(surface, **members)
    cost = cost_of(request, asked, 1024)
    assert (cost.prompt, cost.completion) == (-(-len(request.document) // 4), completion)
    assert cost.nanos == cost.prompt * 2_000 + completion * 10_000


def test_a_plan_is_the_dearest_of_the_route_whatever_the_variant() -> None:
    variants = {
        "a": VariantConfig(key="a", endpoint_keys=("cheap",), parameters={"max_tokens": 50}),
        "b": VariantConfig(
            key="b", endpoint_keys=("dear", "unknown"), parameters={"max_completion_tokens": 80}
        ),
    }
    endpoints = {
        key: EndpointConfig(
            version=(1, 1), key=key, endpoint_kind="openai", base_url="http://x", prices=prices
        )
        for key, prices in (
            ("cheap", Prices(input_per_million=1.0, output_per_million=9.0)),
            ("dear", Prices(input_per_million=3.0, output_per_million=4.0)),
        )
    }
    route = RouteConfig(
        version=(1, 1), key="support", stable="a", variants=variants, allocation_version=1, limits=EVERYTHING
    )
    credential = CredentialConfig(version=(1, 1), key_hash="h", key_id="k", label="l", team="web")
    teams = {"web": TeamConfig(version=(1, 1), key="web", limits=Limits())}
    found = plan_of(credential, route, teams, endpoints)
    assert found is not None
    assert [scope.kind for scope in found.scopes] == ["route"]
    assert (found.cap, found.asks_for_cap, found.prices) == (80, False, (3_000_000_000, 9_000_000_000))
    nothing = RouteConfig(version=(1, 1), key="s", stable="a", variants={}, allocation_version=1)
    assert plan_of(credential, nothing, teams, {}) is None


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(0.0201, b"21ms"), (1.0, b"1s"), (8.64, b"8.64s"), (60.0, b"1m0s"), (360, b"6m0s"), (3723.2, b"1h2m4s")],
)
def test_durations_are_spelled_as_clients_know_them(seconds: float, spelled: bytes) -> None:
    assert duration(seconds) == spelled


def test_only_the_providers_limits_are_left_out() -> None:
    lines = b"content-type: a\r\nx-ratelimit-limit-requests: 1\r\nretry-after: 2\r\nx-ratelimit-x: 3\r\n"
    assert without_limits(lines) == b"content-type: a\r\nretry-after: 2\r\n"
