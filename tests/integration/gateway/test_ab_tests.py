"""A running A/B test at the gateway: who gets what, what the outcome says of it, and how it changes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from services.domain.assignment import basis_point, inclusion_salt, split_salt, unit_hash, variant_at
from services.domain.configuration import Prices, SegmentConfig, TestConfig
from services.domain.events import AssignedTo, Role
from services.gateway.cost import cost_nanos
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    ab_test,
    endpoint,
    experiment,
    lease,
    route,
    variant,
)
from tests.integration.gateway.watching import metric

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
UNITS = [f"user-{i}" for i in range(40)]
PRICES = Prices(input_per_million=0.15, output_per_million=0.6)
KEYS = ("stable", "one", "two")
NAMES = ("variant", "experiment", "test", "test-variant", "blind", "allocation")


class Asker:
    """Asks a route on behalf of units."""

    def __init__(self, installation: Installation, client: openai.AsyncOpenAI) -> None:
        self._installation = installation
        self._client = client

    async def define(self, test: TestConfig | None, **changes: Any) -> None:
        variants = [variant(key, "only") for key in (*KEYS, "canary")]
        await self._installation.publish(route("support", *variants, test=test, **changes))

    async def ask(self, unit: str, **headers: str) -> dict[str, str | None]:
        """Return what the response headers say."""
        given = {"x-headgate-unit": unit} | {name.replace("_", "-"): value for name, value in headers.items()}
        raw = await self._client.chat.completions.with_raw_response.create(
            model="support", messages=MESSAGES, extra_headers=given
        )
        return {name: raw.headers.get(f"x-headgate-{name}") for name in NAMES}

    async def until_allocation(self, version: int) -> None:
        while (await self.ask("waiting"))["allocation"] != str(version):
            pass


@pytest.fixture
async def asker(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> AsyncIterator[Asker]:
    await installation.publish(endpoint("only", f"{provider_url}/v1", prices=PRICES, model="sim-mini"))
    async with gateway.client() as client:
        yield Asker(installation, client)


def index_of(test: TestConfig, unit: str) -> int | None:
    if basis_point(inclusion_salt(test.salt), unit) >= test.traffic_bp:
        return None
    return variant_at(basis_point(split_salt(test.salt), unit), test.weights_bp)


async def test_units_get_the_variant_of_their_place(
    asker: Asker, installation: Installation, gateway: RunningGateway
) -> None:
    test = ab_test(*KEYS, traffic_bp=6_000)
    await asker.define(test)
    await gateway.knows_routes(1)

    expected: dict[int, tuple[AssignedTo, ...]] = {}
    for unit in UNITS:
        index, said = index_of(test, unit), await asker.ask(unit)
        expected[unit_hash(unit)] = ()
        if index is None:
            assert (said["variant"], said["test"], said["test-variant"]) == ("stable", None, None)
            continue
        assert (said["variant"], said["test"], said["test-variant"]) == (KEYS[index], "the-test", KEYS[index])
        role = Role.TREATMENT if index else Role.CONTROL
        assigned = AssignedTo(test.experiment_id, 1, role, test.weights_bp[index], index)
        expected[unit_hash(unit)] = (assigned,)

    outcomes = await installation.expect_outcomes(len(UNITS))
    assert {outcome.unit_hash: outcome.assignments for outcome in outcomes} == expected
    assert {len(assigned) for assigned in expected.values()} == {0, 1}


async def test_a_canary_and_a_test_on_one_route(
    asker: Asker, installation: Installation, gateway: RunningGateway
) -> None:
    canary = experiment("stable", "canary", 5_000, lease_limit_seconds=1e12)
    test = ab_test("stable", "one")
    await asker.define(test, experiment=canary)
    await gateway.knows_routes(1)

    served = set()
    for unit in UNITS:
        treated = basis_point(split_salt(canary.salt), unit) < 5_000
        index, said = index_of(test, unit), await asker.ask(unit)
        assert said["variant"] == ("one" if index else "canary" if treated else "stable")
        assert (said["experiment"], said["test-variant"]) == ("the-canary", ("stable", "one")[index or 0])
        served.add(said["variant"])
    assert served == {"one", "canary", "stable"}
    for outcome in await installation.expect_outcomes(len(UNITS)):
        ids = [assigned.experiment_id for assigned in outcome.assignments]
        assert ids == [canary.experiment_id, test.experiment_id]


async def test_what_the_outcome_says_beside(
    asker: Asker, installation: Installation, gateway: RunningGateway
) -> None:
    segments = (SegmentConfig("tier", "x-tenant-tier"), SegmentConfig("model"))
    await asker.define(ab_test("stable", "one", segments=segments, covariate_header="X-Spent"))
    await gateway.knows_routes(1)
    await asker.ask("ada", x_tenant_tier="gold" * 100, x_spent="12.5", x_other="secret")
    await asker.ask("bob", x_spent="a lot")

    found = {outcome.unit_hash: outcome for outcome in await installation.expect_outcomes(2)}
    ada, bob = found[unit_hash("ada")], found[unit_hash("bob")]
    assert ada.attributes == {"tier": ("gold" * 100)[:64], "model": "sim-mini"}
    assert (ada.covariate, bob.covariate) == (12.5, None)
    assert bob.attributes == {"model": "sim-mini"}
    assert ada.prompt_tokens
    assert ada.completion_tokens
    assert ada.cost_nanos == cost_nanos(PRICES, ada.prompt_tokens, ada.completion_tokens)
    labels = {"route": "support", "test": "the-test"}
    assert await metric(gateway, "headgate_covariates_unreadable_total", **labels) == 1


async def test_nothing_is_said_of_units_that_take_no_part(
    asker: Asker, installation: Installation, gateway: RunningGateway
) -> None:
    segments = (SegmentConfig("tier", "x-tenant-tier"), SegmentConfig("model"))
    await asker.define(ab_test("stable", "one", traffic_bp=0, segments=segments, covariate_header="x-spent"))
    await gateway.knows_routes(1)
    await asker.ask("ada", x_tenant_tier="gold", x_spent="12.5")
    outcome = await installation.outcome()
    assert (outcome.assignments, outcome.attributes, outcome.covariate) == ((), {}, None)


async def test_a_request_that_nobody_could_serve_still_names_its_model(
    asker: Asker, installation: Installation, gateway: RunningGateway
) -> None:
    await installation.publish(endpoint("dead", "http://127.0.0.1:9/v1", model="gone"))
    variants = variant("stable", "dead"), variant("one", "unknown", model="never-asked")
    test = ab_test("stable", "one", segments=(SegmentConfig("model"),))
    await installation.publish(route("support", *variants, test=test))
    await gateway.knows_routes(1)
    for unit in UNITS[:10]:
        with pytest.raises(openai.APIStatusError) as raised:
            await asker.ask(unit)
        assert raised.value.response.headers["x-headgate-feedback-token"]
    outcomes = await installation.expect_outcomes(10)
    assert {(outcome.variant_key, outcome.attributes["model"]) for outcome in outcomes} == {
        ("stable", "gone"),
        ("one", "never-asked"),
    }
    assert {outcome.cost_nanos for outcome in outcomes} == {None}


async def test_a_changed_split_is_a_new_phase_and_a_stopped_test_is_none(
    asker: Asker, installation: Installation, gateway: RunningGateway
) -> None:
    test = ab_test("stable", "one", weights_bp=(9_999, 1))
    unit = next(u for u in UNITS if index_of(test, u) == 0)
    await asker.define(test, allocation_version=1)
    await gateway.knows_routes(1)
    assert (await asker.ask(unit))["test-variant"] == "stable"

    again = ab_test("stable", "one", weights_bp=(1, 9_999), phase=2, experiment_id=test.experiment_id)
    assert index_of(again, unit) == 1
    await asker.define(again, allocation_version=2)
    await asker.until_allocation(2)
    assert (await asker.ask(unit))["test-variant"] == "one"

    await asker.define(None, allocation_version=3)
    await asker.until_allocation(3)
    said = await asker.ask(unit)
    assert (said["variant"], said["test"], said["test-variant"]) == ("stable", None, None)

    outcomes = [one for one in await installation.outcomes() if one.unit_hash == unit_hash(unit)]
    while len(outcomes) < 3:
        outcomes = [one for one in await installation.outcomes() if one.unit_hash == unit_hash(unit)]
    phases = [[assigned.phase for assigned in one.assignments] for one in outcomes]
    assert phases == [[1], [2], []]


async def test_an_unmeasured_test_assigns_nobody_until_it_is_measured_again(
    asker: Asker, installation: Installation, gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    test = ab_test("stable", "one", weights_bp=(1, 9_999), lease_limit_seconds=30.0)
    unit = next(u for u in UNITS if index_of(test, u) == 1)
    await asker.define(test)
    await installation.publish(lease(test, time.time() - 31))

    def blind(state: dict[str, Any]) -> list[str]:
        return [one["experiment"] for one in state["checks"]["experiments"]["blind"]]

    await gateway.until(lambda state: blind(state) == ["the-test"])
    said = await asker.ask(unit)
    assert (said["variant"], said["test"], said["blind"]) == ("stable", None, "the-test")
    assert (await installation.outcome()).assignments == ()
    while "experiment the-test: nobody has measured it" not in caplog.text:
        await gateway.readiness()

    await installation.publish(lease(test, time.time()))
    await gateway.until(lambda state: not blind(state))
    said = await asker.ask(unit)
    assert (said["variant"], said["test"], said["blind"]) == ("one", "the-test", None)
