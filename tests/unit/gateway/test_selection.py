"""The order in which a variant's endpoints are asked."""

from __future__ import annotations

from collections import Counter
from random import Random

from services.domain.configuration import EndpointConfig, VariantConfig
from services.gateway.secret_references import SecretResolver
from services.gateway.selection import Selection


def endpoint(
    key: str, *, priority: int = 0, weight: int = 1, secret: str | None = None
) -> dict[str, EndpointConfig]:
    return {
        key: EndpointConfig(
            version=(1, 1),
            key=key,
            endpoint_kind="openai",
            base_url="http://127.0.0.1",
            priority=priority,
            weight=weight,
            secret=secret,
        )
    }


def order(endpoints: dict[str, EndpointConfig], random: Random | None = None) -> list[str]:
    selection = Selection(SecretResolver({"HERE": "s3cret"}), random or Random(1))
    variant = VariantConfig(key="v", endpoint_keys=(*endpoints, "unknown"))
    return [candidate[0].key for candidate in selection.order(variant, endpoints)]


def test_the_lowest_priority_number_comes_first() -> None:
    endpoints = endpoint("last", priority=2) | endpoint("first") | endpoint("second", priority=1)
    assert order(endpoints) == ["first", "second", "last"]


def test_weights_decide_inside_a_tier() -> None:
    endpoints = endpoint("heavy", weight=3) | endpoint("light", weight=1)
    random = Random(5)
    firsts = Counter(order(endpoints, random)[0] for _ in range(4_000))
    assert abs(firsts["heavy"] - 3_000) < 5 * (4_000 * 0.75 * 0.25) ** 0.5


def test_what_cannot_be_asked_is_left_out() -> None:
    endpoints = (
        endpoint("drained", weight=0)
        | endpoint("secretless", secret="env:NOT_HERE")
        | endpoint("odd", secret="x")
    )
    assert order(endpoints) == []


def test_missing_secrets_are_named() -> None:
    endpoints = (
        endpoint("good", secret="env:HERE") | endpoint("open") | endpoint("bad", secret="env:NOT_HERE")
    )
    selection = Selection(SecretResolver({"HERE": "s3cret"}), Random(1))
    assert selection.missing_secrets(endpoints) == ["bad"]
