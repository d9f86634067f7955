"""A recorded decision is recomputed from the tables, and says whether it holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.ext.asyncio import AsyncEngine

from services.cli.main import main
from services.domain.canary import CanaryDefinition
from services.domain.counts import CountRow
from services.domain.events import Role
from services.storage import decisions
from services.storage.identifiers import new_id
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.workers.evaluated import be_fresh, count, count_rows, decided, start, watch, write_sums
from tests.unit.domain.sums import START, two


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(DatabaseSettings(database_url=database_url), application_name="test")
    yield made
    await made.dispose()


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command reads its settings from."""
    monkeypatch.setenv("HEADGATE_DATABASE_URL", database_url)


async def replay(decision_id: object, *options: str) -> Result:
    """Run the command, which has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["replay", str(decision_id), *options])


async def rolled_back(engine: AsyncEngine) -> UUID:
    """A canary that the policy rolled back."""
    experiment = await start(engine, CanaryDefinition(treatment="b"))
    await count(engine, experiment, two(units=500, error=0.3))
    await be_fresh(engine)
    await watch(engine, experiment).evaluate()
    async with engine.connect() as connection:
        (decision,) = await decisions.of_experiment(connection, experiment.experiment_id)
    assert decision.action == "rollback"
    return decision.decision_id


@pytest.mark.usefixtures("database")
async def test_a_promotion_of_an_ab_test_holds_to_the_bit(engine: AsyncEngine) -> None:
    _, decision_id = await decided(engine)
    answer = await replay(decision_id)
    assert answer.exit_code == 0, answer.output
    assert "It holds" in answer.output
    assert "cost of b is better" in answer.output


@pytest.mark.usefixtures("database")
async def test_a_rollback_of_a_canary_holds_to_the_bit_as_json(engine: AsyncEngine) -> None:
    answer = await replay(await rolled_back(engine), "--json")
    assert answer.exit_code == 0, answer.output
    body = json.loads(answer.output)
    assert body["holds"]
    assert body["holds_to_the_bit"]
    assert body["differences"] == []
    assert {check["what"]: check["problems"] for check in body["tables"]} == {
        "closed minutes": [],
        "open minutes": [],
        "offsets": [],
        "sums by analysis bucket": [],
    }
    assert body["tables"][0]["compared"] > 0
    assert body["tables"][3]["compared"] == 2
    assert body["recomputed"]["verdicts"][0]["verdict"] == "fail"


@pytest.mark.usefixtures("database")
async def test_a_figure_that_was_changed_does_not_hold(engine: AsyncEngine) -> None:
    decision_id = await rolled_back(engine)
    async with engine.begin() as connection:
        await connection.execute(
            sa.text("UPDATE decisions SET evidence = jsonb_set(evidence, '{p_value}', '0.001')")
        )
    answer = await replay(decision_id)
    assert answer.exit_code == 1
    assert "evidence.p_value: recorded 0.001" in answer.output


@pytest.mark.usefixtures("database")
async def test_a_figure_that_differs_in_its_last_digits_holds_and_is_named(engine: AsyncEngine) -> None:
    """As on another kind of processor."""
    decision_id = await rolled_back(engine)
    async with engine.begin() as connection:
        await connection.execute(
            sa.text(
                "UPDATE decisions SET evidence = jsonb_set(evidence, '{e_value}', "
                "to_jsonb((evidence ->> 'e_value')::float * (1 + 1e-14)))"
            )
        )
    answer = await replay(decision_id)
    assert answer.exit_code == 0, answer.output
    assert "evidence.e_value: recorded" in answer.output
    assert "1 figures differ in their last digits" in answer.output
    assert not json.loads((await replay(decision_id, "--json")).output)["holds_to_the_bit"]


@pytest.mark.usefixtures("database")
async def test_what_another_method_decided_says_so(engine: AsyncEngine) -> None:
    decision_id = await rolled_back(engine)
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE decisions SET rule = 'another', method = 'canary/0'"))
    answer = await replay(decision_id)
    assert answer.exit_code == 1
    assert "it was made by canary/0, and this release has canary/3" in answer.output


@pytest.mark.usefixtures("database")
async def test_counts_that_changed_in_a_closed_minute_do_not_hold(engine: AsyncEngine) -> None:
    experiment, decision_id = await decided(engine)
    late = CountRow(START, 5_000, Role.TREATMENT, 5, 0, 0, 0, 0, 0, 0, 1)
    await count_rows(engine, experiment.experiment_id, [late])
    answer = await replay(decision_id, "--json")
    assert answer.exit_code == 1
    body = json.loads(answer.output)
    assert (body["holds"], body["differences"]) == (False, [])
    (problem,) = body["tables"][0]["problems"]
    assert problem.startswith(f"minute {START} at share 5000 of variant 1 was")


@pytest.mark.usefixtures("database")
async def test_what_was_counted_since_in_open_minutes_and_sums_holds(engine: AsyncEngine) -> None:
    experiment, decision_id = await decided(engine)
    async with engine.connect() as connection:
        now = await connection.scalar(sa.text("SELECT CAST(extract(epoch FROM now()) AS bigint) / 60"))
    later = CountRow(int(now), 5_000, Role.TREATMENT, 5, 0, 0, 0, 0, 0, 0, 1)
    await count_rows(engine, experiment.experiment_id, [later])
    first, second = (variant.table() for variant in two(cost=0.8))
    await write_sums(engine, experiment.experiment_id, 1, second + first)
    assert (await replay(decision_id)).exit_code == 0


@pytest.mark.usefixtures("database")
async def test_sums_that_became_less_do_not_hold(engine: AsyncEngine) -> None:
    experiment, decision_id = await decided(engine)
    await write_sums(engine, experiment.experiment_id, 1, two(units=10)[1].table())
    answer = await replay(decision_id)
    assert answer.exit_code == 1
    assert "its inputs are not what the tables say" in answer.output
    assert "has fewer values than then" in answer.output


@pytest.mark.usefixtures("database")
async def test_an_unknown_decision_and_a_persons_are_sentences(engine: AsyncEngine) -> None:
    unknown = await replay(new_id())
    assert unknown.exit_code == 1
    assert "there is no decision" in unknown.output
    _, decision_id = await decided(engine)
    async with engine.begin() as connection:
        await connection.execute(
            sa.text("UPDATE decisions SET actor = 'kim', method = '', inputs = '{}', evidence = '{}'")
        )
    by_hand = await replay(decision_id)
    assert by_hand.exit_code == 1
    assert "made by 'kim', not by a policy" in by_hand.output
    nonsense = await replay("not-an-id")
    assert nonsense.exit_code == 2
