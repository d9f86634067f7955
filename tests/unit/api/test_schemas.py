"""What a request body becomes, and what it may not hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.api.canary_bodies import NewCanary
from services.api.endpoint_bodies import EndpointBody
from services.api.route_bodies import NewRoute
from services.api.variant_bodies import NewVariant
from services.domain.canary import CanaryDefinition, CanaryPlan, SequentialPolicy, ThresholdPolicy

ENDPOINT: dict[str, Any] = {"kind": "openai", "base_url": "https://llm.test/v1"}


def test_an_experiment_without_details_has_the_domains_defaults_and_is_watched() -> None:
    body = NewCanary(key="c", route="chat", treatment="new")
    plan = CanaryPlan(deadline_no_data="hold", holdback_share=0.05, watch_minutes=30)
    assert body.definition == CanaryDefinition(treatment="new", plan=plan)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"alpha_rollback": 0.05}, SequentialPolicy(alpha_rollback=0.05)),
        ({"type": "sequential"}, SequentialPolicy()),
        ({"type": "threshold", "margin": 0.1}, ThresholdPolicy(margin=0.1)),
    ],
)
def test_the_policy_is_sequential_unless_it_says_otherwise(policy: dict[str, Any], expected: object) -> None:
    body = NewCanary.model_validate({"key": "c", "route": "r", "treatment": "new", "policy": policy})
    assert body.definition.policy == expected


def test_an_endpoint_keeps_what_was_sent() -> None:
    endpoint = EndpointBody(**ENDPOINT, secret="env:KEY", priority=1).config("main", (1, 2))
    assert (endpoint.key, endpoint.endpoint_kind, endpoint.version) == ("main", "openai", (1, 2))
    assert (endpoint.secret, endpoint.priority) == ("env:KEY", 1)


@pytest.mark.parametrize(
    "url",
    [
        "llm.test",
        "ftp://llm.test",
        "https://",
        "https://user:password@llm.test",
        "https://llm.test?key=1",
        "https://llm.test:99999",
        "https://[broken",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError, match=r"http\(s\)://host"):
        EndpointBody(kind="openai", base_url=url)


def test_how_a_secret_is_sent() -> None:
    body = EndpointBody(**ENDPOINT, secret="command:entra-id", auth="bearer", stream_usage=False)
    endpoint = body.config("main", (1, 2))
    assert (endpoint.secret, endpoint.auth, endpoint.stream_usage) == ("command:entra-id", "bearer", False)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-123",
        "",
        "env:",
        "env:A B",
        "file:",
        "https://secret",
        "command:",
        "command:az login",
        "command:/x",
    ],
)
def test_a_secret_is_a_reference(secret: str) -> None:
    with pytest.raises(ValidationError, match="must be a reference"):
        EndpointBody(**ENDPOINT, secret=secret)


@pytest.mark.parametrize("key", ["chat", "openai/gpt-4o", "Llama-3:70b", "a.b_c-d"])
def test_route_keys_are_what_clients_put_in_model(key: str) -> None:
    assert NewRoute(key=key, stable="v").key == key


@pytest.mark.parametrize("key", ["", "/chat", "a b", "chat?", "ü", "a" * 128])
def test_other_route_keys_are_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        NewRoute(key=key, stable="v")


@pytest.mark.parametrize("taken", ["model", "messages", "stream"])
def test_parameters_leave_alone_what_belongs_to_others(taken: str) -> None:
    with pytest.raises(ValidationError, match=f"must not set {taken}"):
        NewVariant(key="v", endpoints=["e"], parameters={taken: 1, "temperature": 0})
