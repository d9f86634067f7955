"""Which endpoint of a variant is asked next."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import EndpointConfig, ProbeSettings, VariantConfig
from services.domain.errors import ConcurrencyLimited, NoHealthyEndpoints
from services.domain.status import OutcomeStatus as S
from services.gateway.health import HealthBook, LiveAttempt, ProbeResult
from services.gateway.secret_references import SecretResolver
from services.gateway.selection import Selection


def endpoint(key: str, **changes: Any) -> EndpointConfig:
    values: dict[str, Any] = {"endpoint_kind": "openai", "base_url": "http://127.0.0.1"} | changes
    return EndpointConfig(version=(1, 1), key=key, **values)


class Pool:
    """A variant over endpoints, and the selection among them."""

    def __init__(self, *endpoints: EndpointConfig, rule: Any = "weighted", seed: int = 1) -> None:
        self.endpoints = {one.key: one for one in endpoints}
        self.book = HealthBook()
        self.selection = Selection(SecretResolver({"HERE": "s3cret"}), self.book, Random(seed))
        self.variant = VariantConfig(key="v", endpoint_keys=(*self.endpoints, "unknown"), selection=rule)

    def pick(self, *tried: str, now: float = 0.0) -> LiveAttempt | None:
        return self.selection.pick(self.variant, self.endpoints, "m", tried, now)

    def key(self, *tried: str, now: float = 0.0) -> str | None:
        """Whom it picks; the attempt is given up at once."""
        attempt = self.pick(*tried, now=now)
        if attempt is None:
            return None
        attempt.release(now)
        return attempt.endpoint.key

    def order(self) -> list[str]:
        """Whom it picks one after the other."""
        keys: list[str] = []
        while (key := self.key(*keys)) is not None:
            keys.append(key)
        return keys

    def health(self, key: str) -> Any:
        return self.book.of(self.endpoints[key])

    def shortage(self, now: float = 0.0) -> Exception:
        return self.selection.shortage(self.variant, self.endpoints, "m", now)


def test_the_lowest_priority_number_comes_first() -> None:
    pool = Pool(endpoint("last", priority=2), endpoint("first"), endpoint("second", priority=1))
    assert pool.order() == ["first", "second", "last"]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(0, 1_000))
def test_weights_decide_inside_a_tier(weights: list[int], seed: int) -> None:
    draws = 1_000
    members = [endpoint(f"e{n}", weight=weight) for n, weight in enumerate(weights)]
    pool = Pool(*members, endpoint("spare", priority=1, weight=99), seed=seed)
    found = Counter(pool.key() for _ in range(draws))
    for member in members:
        share = member.weight / sum(weights)
        # Six standard deviations: a false alarm in one of 10^9 looks.
        assert abs(found[member.key] - draws * share) < 6 * (draws * share * (1 - share)) ** 0.5 + 1
    assert "spare" not in found


def test_the_less_loaded_of_two_is_preferred() -> None:
    pool = Pool(endpoint("busy"), endpoint("idle"), rule="least_loaded")
    pool.health("busy").begin()
    assert {pool.key() for _ in range(50)} == {"idle"}


def test_load_is_spread_evenly_and_by_weight() -> None:
    pool = Pool(endpoint("one"), endpoint("two"), endpoint("big", weight=2), rule="least_loaded")
    for _ in range(400):
        assert pool.pick() is not None
    load = {key: pool.health(key).in_flight for key in pool.endpoints}
    assert load["big"] == pytest.approx(200, abs=10)
    assert load["one"] == pytest.approx(100, abs=10)


@pytest.mark.parametrize(
    "changes", [{"weight": 0}, {"drained": True}, {"secret": "env:NOT_HERE"}, {"secret": "x"}]
)
def test_what_cannot_be_asked_is_left_out(changes: dict[str, Any]) -> None:
    pool = Pool(endpoint("out", **changes), endpoint("spare", priority=1))
    assert pool.order() == ["spare"]


def test_an_endpoint_at_its_limit_is_skipped_until_one_is_done() -> None:
    pool = Pool(endpoint("small", max_concurrency=1), endpoint("spare", priority=1))
    attempt = pool.pick()
    assert attempt is not None
    assert attempt.endpoint.key == "small"
    assert pool.key() == "spare"
    attempt.end(S.OK, 200, 1.0)
    assert pool.key() == "small"


def test_when_all_are_at_their_limit_it_is_the_callers_turn_to_wait() -> None:
    pool = Pool(endpoint("small", max_concurrency=1), endpoint("drained", drained=True))
    assert pool.pick() is not None
    assert pool.pick() is None
    shortage = pool.shortage()
    assert isinstance(shortage, ConcurrencyLimited)
    assert (shortage.http_status, shortage.retry_after_seconds) == (429, 1)
    assert shortage.outcome_status is S.REJECTED


def test_an_open_endpoint_is_skipped_and_named() -> None:
    pool = Pool(endpoint("limited"), endpoint("spare", priority=1))
    attempt = pool.pick()
    assert attempt is not None
    attempt.end(S.PROVIDER_REFUSED, 429, 0.0, retry_after_seconds=2.5)
    assert pool.order() == ["spare"]
    spare = pool.endpoints.pop("spare")
    shortage = pool.shortage(now=0.25)
    assert isinstance(shortage, NoHealthyEndpoints)
    assert shortage.retry_after_seconds == 3
    assert "limited is left alone for 2.2 s more" in str(shortage)
    pool.endpoints["spare"] = spare
    assert pool.key(now=2.5) == "limited"


def test_models_behind_one_address_have_breakers_of_their_own() -> None:
    pool = Pool(endpoint("shared"))
    control, treatment = pool.variant, VariantConfig(key="t", endpoint_keys=("shared",), model="broken")
    for _ in range(10):
        attempt = pool.selection.pick(treatment, pool.endpoints, "m", (), 0.0)
        assert attempt is not None
        attempt.end(S.PROVIDER_ERROR, 500, 0.0)
    assert pool.selection.pick(treatment, pool.endpoints, "m", (), 0.0) is None
    assert pool.selection.pick(control, pool.endpoints, "m", (), 0.0) is not None


def test_an_endpoint_that_fails_its_probe_is_skipped() -> None:
    pool = Pool(endpoint("probed", probe=ProbeSettings(path="/models")), endpoint("spare", priority=1))
    assert pool.key() == "probed"
    pool.health("probed").probe = ProbeResult(False, 2, "it answered 503", 0.0)
    assert pool.order() == ["spare"]


def test_missing_secrets_are_named() -> None:
    pool = Pool(endpoint("good", secret="env:HERE"), endpoint("open"), endpoint("bad", secret="env:NOT_HERE"))
    assert pool.selection.missing_secrets(pool.endpoints) == ["bad"]


@pytest.mark.parametrize(
    ("status", "http_status", "opens"),
    [
        (S.PROVIDER_ERROR, 500, True),
        (S.TIMEOUT, 0, True),
        (S.CONNECTION_FAILED, 0, True),
        (S.STREAM_BROKEN, 200, True),
        (S.PROVIDER_REFUSED, 401, True),
        (S.PROVIDER_REFUSED, 403, True),
        (S.PROVIDER_REFUSED, 404, False),
        (S.PROVIDER_REFUSED, 429, False),
        (S.CALLER_ERROR, 400, False),
        (S.CALLER_GONE, 0, False),
        (S.CONTENT_FILTERED, 200, False),
        (S.OK, 200, False),
    ],
)
def test_what_opens_a_breaker(status: S, http_status: int, opens: bool) -> None:
    pool = Pool(endpoint("only"))
    for _ in range(60):
        attempt = pool.pick()
        if attempt is not None:
            attempt.end(status, http_status, 0.0)
    assert (pool.pick() is None) is opens
    assert pool.health("only").in_flight == (0 if opens else 1)
