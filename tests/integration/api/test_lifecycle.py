"""Every state of every kind's life × every verb: done, with the state after, or refused with what to do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.decision import Decision
from services.domain.lifecycle import Verb
from services.routing.apply import apply_decision
from services.storage import decisions, experiments, routes
from services.storage.identifiers import new_id
from tests.integration.api.conftest import Answer, Client, define, define_more, installed, served
from tests.integration.api.lives import BODIES, FINAL, LIVES, Done, Refused, State

VERBS: tuple[str, ...] = get_args(Verb)


def _refused(state: State) -> list[tuple[str, Refused]]:
    outcomes = ((verb, state.of(verb)) for verb in VERBS)
    return [(verb, outcome) for verb, outcome in outcomes if isinstance(outcome, Refused)]


STATES = [(kind, name) for kind, (_, states) in LIVES.items() for name in states]
DONE = [
    (kind, name, verb)
    for kind, name in STATES
    for verb in VERBS
    if isinstance(LIVES[kind][1][name].of(verb), Done)
]


@dataclass(frozen=True)
class Installation:
    """A control plane, and routing that applies what it is told to."""

    client: Client
    engine: AsyncEngine

    async def walk(self, key: str, steps: tuple[str, ...]) -> None:
        for step in steps:
            match step.split():
                case ["advance", number, share]:
                    await self._advance(key, int(number), round(float(share) * 10_000))
                case ["freeze", "route"]:
                    await self._freeze(f"/v1/routes/{key}/freeze")
                case ["freeze", "everything"]:
                    await self._freeze("/v1/freeze")
                case ["start", "a", "canary"]:
                    canary = {"key": f"{key}-canary", "route": key, "treatment": "new"}
                    await self.client.made("/v1/experiments", canary)
                    assert (await self.client.post(f"/v1/experiments/{key}-canary/start")).status == 200
                case _:
                    answer = await self.do(step, key)
                    assert answer.status in (200, 202), answer.body

    async def do(self, verb: str, key: str) -> Answer:
        """Do it, and apply the decision that it makes."""
        answer = await self.client.post(f"/v1/experiments/{key}/{verb}", BODIES.get(verb))
        if answer.status == 202:
            assert await apply_decision(self.engine, answer.body["decision_id"]) == "applied"
        return answer

    async def _advance(self, key: str, step: int, share_bp: int) -> None:
        async with self.engine.begin() as connection:
            experiment = await experiments.get(connection, key)
            version = (await routes.get(connection, experiment.route_key)).allocation.version
            decision = Decision(
                decision_id=new_id(),
                experiment_id=experiment.experiment_id,
                phase=experiment.phase,
                action="advance",
                rule="advance_to_next_step",
                reason="nothing fails",
                actor="policy",
                allocation_version=version,
                decided_at=datetime.now(UTC),
                next_step=step,
                next_share_bp=share_bp,
            )
            assert await decisions.record(connection, decision)
        assert await apply_decision(self.engine, decision.decision_id) == "applied"

    async def _freeze(self, address: str) -> None:
        answer = await self.client.put(address, {"reason": "launch week"})
        assert answer.body["frozen"] is True


@pytest.fixture(scope="module")
async def installation(module_database_url: str) -> AsyncIterator[Installation]:
    async with installed(module_database_url) as engine, served(engine) as client:
        await define(client)
        await define_more(client)
        yield Installation(client, engine)


@pytest.mark.parametrize(("kind", "name"), STATES)
async def test_what_a_state_refuses_changes_nothing_and_says_what_to_do(
    installation: Installation, kind: str, name: str
) -> None:
    state = LIVES[kind][1][name]
    key = await _reached(installation, kind, name, "refusals")
    before = await _standing(installation.client, key)
    assert before.share == state.share

    for verb, expected in _refused(state):
        answer = await installation.do(verb, key)
        assert answer.status == 409, answer.body
        assert answer.body["code"] == "conflict"
        assert expected.advice in answer.body["detail"]
        assert await _standing(installation.client, key) == before


@pytest.mark.parametrize(("kind", "name", "verb"), DONE)
async def test_what_a_state_allows_leads_to_the_next(
    installation: Installation, kind: str, name: str, verb: str
) -> None:
    key = await _reached(installation, kind, name, verb)

    answer = await installation.do(verb, key)

    assert answer.status in (200, 202), answer.body
    assert await _standing(installation.client, key) == LIVES[kind][1][name].of(verb)


async def _reached(installation: Installation, kind: str, name: str, purpose: str) -> str:
    """Draft an experiment on a route of its own and take it to the state; return the key of both."""
    definition, states = LIVES[kind]
    key = re.sub(r"\W", "-", f"{kind}-{name}-{purpose}".lower())
    await installation.client.call("DELETE", "/v1/freeze")
    await installation.client.made("/v1/routes", {"key": key, "stable": "old"})
    body = {**definition, **states[name].body, "key": key, "route": key}
    await installation.client.made("/v1/experiments", body)
    await installation.walk(key, states[name].way)
    return key


async def _standing(client: Client, key: str) -> Done:
    shown: Any = (await client.get(f"/v1/experiments/{key}")).body
    share = next(one["share"] for one in shown["variants"] if one["role"] == "treatment")
    return Done(shown["status"], round(share, 6), shown["stage"], shown["conclusion"], shown["phase"])


def test_a_rollback_is_possible_wherever_somebody_is_served() -> None:
    """What the tables say, in one sentence: no live state of a kind that serves people refuses it."""
    live = [
        (kind, name, state)
        for kind, (_, states) in LIVES.items()
        for name, state in states.items()
        if kind != "shadow" and state.way and state.otherwise != FINAL
    ]
    assert live
    for kind, name, state in live:
        outcome = state.verbs["rollback"]
        assert isinstance(outcome, Done), (kind, name)
        assert (outcome.status, outcome.conclusion, outcome.share) == ("stopped", "rolled_back", 0.0)


async def test_a_share_by_hand_goes_up_and_down(installation: Installation) -> None:
    key = "up-and-down"
    client = installation.client
    await client.made("/v1/routes", {"key": key, "stable": "old"})
    await client.made("/v1/experiments", {"key": key, "route": key, "treatment": "new"})
    await installation.walk(key, ("start",))
    for share in (0.3, 0.6, 0.1):
        answer = await client.post(f"/v1/experiments/{key}/share", {"share": share})
        assert replace(await _standing(client, key), stage="ramp") == Done("running", share)
        assert answer.body["allocation"]["step"] == 0
