"""A running canary at the gateway: who gets it, what says so, and that nobody gets it unmeasured."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from services.domain.assignment import basis_point, split_salt, unit_hash
from services.domain.configuration import ExperimentConfig
from services.domain.events import AssignedTo, Role, UnitSource
from tests.integration.gateway.running import (
    Installation,
    RunningGateway,
    endpoint,
    experiment,
    lease,
    route,
    variant,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
UNITS = [f"user-{i}" for i in range(30)]


class Canary:
    """A route with a canary at some share, asked on behalf of units."""

    def __init__(self, installation: Installation, client: openai.AsyncOpenAI) -> None:
        self._installation = installation
        self._client = client

    async def define(self, running: ExperimentConfig | None, **changes: Any) -> None:
        variants = variant("old", "only"), variant("new", "only")
        await self._installation.publish(route("support", *variants, experiment=running, **changes))

    async def ask(self, unit: str) -> dict[str, str | None]:
        """Return what the response headers say."""
        raw = await self._client.chat.completions.with_raw_response.create(
            model="support", messages=MESSAGES, extra_headers={"x-headgate-unit": unit}
        )
        names = ("variant", "experiment", "blind", "allocation")
        return {name: raw.headers.get(f"x-headgate-{name}") for name in names}


@pytest.fixture
async def canary(
    installation: Installation, gateway: RunningGateway, provider_url: str
) -> AsyncIterator[Canary]:
    await installation.publish(endpoint("only", f"{provider_url}/v1"))
    async with gateway.client() as client:
        yield Canary(installation, client)


def blind_keys(state: dict[str, Any]) -> list[str]:
    return [one["experiment"] for one in state["checks"]["experiments"]["blind"]]


async def test_units_get_the_variant_of_their_place(
    canary: Canary, installation: Installation, gateway: RunningGateway
) -> None:
    running = experiment("old", "new", 4_000)
    await canary.define(running)
    await installation.publish(lease(running, time.time()))
    await gateway.knows_routes(1)
    await gateway.until(lambda state: not blind_keys(state))

    expected = {}
    for unit in UNITS:
        treated = basis_point(split_salt(running.salt), unit) < 4_000
        said = await canary.ask(unit)
        assert said["variant"] == ("new" if treated else "old")
        assert said["experiment"] == "the-canary"
        assert said["blind"] is None
        role, propensity = (Role.TREATMENT, 4_000) if treated else (Role.CONTROL, 6_000)
        expected[unit_hash(unit)] = AssignedTo(running.experiment_id, 1, role, propensity)

    outcomes = await installation.expect_outcomes(len(UNITS))
    assert {outcome.unit_hash: outcome.assignments for outcome in outcomes} == {
        unit: (assigned,) for unit, assigned in expected.items()
    }
    assert {outcome.unit_source for outcome in outcomes} == {UnitSource.HEADER}
    assert {outcome.variant_key for outcome in outcomes} == {"old", "new"}


async def test_a_change_of_the_split_arrives_while_serving(canary: Canary, gateway: RunningGateway) -> None:
    running = experiment("old", "new", 9_999, lease_limit_seconds=1e12)
    await canary.define(running)
    await gateway.knows_routes(1)
    unit = next(u for u in UNITS if basis_point(split_salt(running.salt), u) < 9_999)
    assert (await canary.ask(unit))["variant"] == "new"
    await canary.define(None, allocation_version=8)
    while (said := await canary.ask(unit))["allocation"] != "8":
        assert said["variant"] == "new"
    assert said == {"variant": "old", "experiment": None, "blind": None, "allocation": "8"}


async def test_an_unmeasured_canary_gets_nothing_until_it_is_measured_again(
    canary: Canary, installation: Installation, gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    running = experiment("old", "new", 9_999, lease_limit_seconds=30.0)
    unit = next(u for u in UNITS if basis_point(split_salt(running.salt), u) < 9_999)
    await canary.define(running)
    await installation.publish(lease(running, time.time() - 31))
    await gateway.until(lambda state: blind_keys(state) == ["the-canary"])
    assert await canary.ask(unit) == {
        "variant": "old",
        "experiment": None,
        "blind": "the-canary",
        "allocation": "7",
    }
    assert (await installation.outcome()).assignments == ()
    while "nobody has measured it for over 30 s" not in caplog.text:
        await gateway.readiness()

    await installation.publish(lease(running, time.time()))
    await gateway.until(lambda state: not blind_keys(state))
    said = await canary.ask(unit)
    assert (said["variant"], said["experiment"], said["blind"]) == ("new", "the-canary", None)


async def test_an_experiment_may_hold_its_split(
    canary: Canary, installation: Installation, gateway: RunningGateway
) -> None:
    running = experiment("old", "new", 9_999, on_blind="hold")
    unit = next(u for u in UNITS if basis_point(split_salt(running.salt), u) < 9_999)
    await canary.define(running)
    await gateway.until(lambda state: blind_keys(state) == ["the-canary"])
    said = await canary.ask(unit)
    assert (said["variant"], said["experiment"], said["blind"]) == ("new", "the-canary", "the-canary")
    assert len((await installation.outcome()).assignments) == 1
