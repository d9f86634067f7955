"""The public SQL contract on a filled database: views agree with what was counted, all is explained."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.cli.contract import render
from services.domain.assignment import analysis_bucket, basis_point, inclusion_salt, split_salt, unit_hash
from services.domain.metric import FEEDBACK_SCALE, SOURCES
from services.storage import contract
from services.storage.buckets import BucketCache, refresh
from services.storage.column_comments import COLUMN_COMMENTS
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from tests.integration.storage import concise_answers as test
from tests.integration.storage import filled

TABLES = Path(__file__).parents[3] / "docs" / "tables.md"


@pytest.fixture(scope="module")
def traffic() -> test.Traffic:
    return test.simulate()


@pytest.fixture
async def connection(filled_url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_engine(DatabaseSettings(database_url=filled_url), application_name="headgate-tests")
    async with engine.connect() as connection:
        # What a test writes is rolled back after it.
        await connection.execution_options(postgresql_readonly=False)
        yield connection
    await engine.dispose()


async def rows(connection: AsyncConnection, query: str, **parameters: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await connection.execute(sa.text(query), parameters)]


async def test_every_column_and_function_says_what_it_means(connection: AsyncConnection) -> None:
    relations, functions = await contract.describe(connection)
    silent = [one.name for one in (*relations, *functions) if not one.comment]
    silent += [f"{one.name}.{name}" for one in relations for name, _, comment in one.columns if not comment]
    assert silent == []
    assert [one.name for one in relations] == list(contract.RELATIONS)
    assert [one.name.partition("(")[0] for one in functions] == list(contract.FUNCTIONS)
    assert all(one.columns for one in relations)


async def test_the_page_of_tables_is_up_to_date(connection: AsyncConnection) -> None:
    assert TABLES.read_text(encoding="utf-8") == await render(connection), (
        "docs/tables.md is not what the database says: `headgate contract > docs/tables.md`"
    )


def test_tables_of_the_contract_are_commented_where_they_are_defined() -> None:
    assert set(COLUMN_COMMENTS) <= set(contract.RELATIONS)


async def test_assignment_is_recomputed(connection: AsyncConnection, traffic: test.Traffic) -> None:
    salt = str(test.EXPERIMENT_ID)
    everybody = [f"user-{number}" for number in range(1, 301)]
    variants = dict(zip(traffic.units, traffic.variant_of.tolist(), strict=True))
    found = await rows(
        connection,
        "SELECT unit, headgate_split_place(:id, unit), headgate_inclusion_place(:id, unit), "
        "headgate_analysis_bucket(headgate_unit_hash(unit)), headgate_assigned_variant(:key, 1, unit) "
        "FROM unnest(CAST(:units AS text[])) AS unit",
        id=test.EXPERIMENT_ID,
        key=filled.KEY,
        units=everybody,
    )
    assert found == [
        (
            unit,
            basis_point(split_salt(salt), unit),
            basis_point(inclusion_salt(salt), unit),
            analysis_bucket(unit_hash(unit)),
            test.VARIANTS[variants[unit]] if unit in variants else None,
        )
        for unit in everybody
    ]
    assert len({variant for *_, variant in found}) == 3


async def test_a_canary_is_assigned_by_its_share(connection: AsyncConnection) -> None:
    query = "SELECT headgate_assigned_variant(:key, 1, :unit, :share)"
    place = basis_point(split_salt(str(filled.CANARY_ID)), "user-1")
    for share, variant in ((place, "current"), (place + 1, "mini"), (None, None)):
        assert await rows(connection, query, key=filled.CANARY_KEY, unit="user-1", share=share) == [
            (variant,)
        ]


async def test_exposures_agree_with_the_assignment(connection: AsyncConnection) -> None:
    found = await rows(
        connection,
        "SELECT count(*), count(*) FILTER (WHERE assigned = variant_key), count(DISTINCT bucket) > 900 FROM "
        "(SELECT x.*, headgate_assigned_variant(experiment_key, phase, unit) AS assigned FROM exposure_log x "
        "JOIN (SELECT 'user-' || n AS unit FROM generate_series(1, 5000) n) u "
        "ON x.unit_hash = headgate_unit_hash(unit)) AS matched",
    )
    units = len(test.simulate().units)
    assert found == [(units, units, True)]


async def test_bucket_sums_are_unfolded(connection: AsyncConnection, traffic: test.Traffic) -> None:
    for index, variant in enumerate(test.VARIANTS):
        expected = test.sums(traffic, index).sums
        found = np.zeros_like(expected)
        for column, bucket, n, raw in await rows(
            connection,
            "SELECT column_key, bucket, n, raw_total FROM metric_buckets "
            "WHERE experiment_key = :key AND variant_key = :variant AND segment = ''",
            key=filled.KEY,
            variant=variant,
        ):
            found[test.COLUMNS.index(str(column)), :, bucket] = n, raw
        np.testing.assert_array_equal(found, expected)


async def test_the_evaluation_reads_the_same_sums(connection: AsyncConnection, traffic: test.Traffic) -> None:
    cache = BucketCache(phase=1)
    await connection.execution_options(isolation_level="REPEATABLE READ")
    await refresh(connection, test.EXPERIMENT_ID, cache)
    for index in range(len(test.VARIANTS)):
        np.testing.assert_array_equal(cache.variant(index).sums, test.sums(traffic, index).sums)
        stored = cache.sketch(index, "latency", "tier=pro")
        expected = test.sketches(traffic, index, 1).by_source["latency"]
        np.testing.assert_array_equal(stored.cells, expected.cells)
        np.testing.assert_array_equal(stored.counts, expected.counts)


async def test_segments_add_up_to_everything(connection: AsyncConnection) -> None:
    found = await rows(
        connection,
        "SELECT segment = '' AS whole, sum(n), sum(raw_total) FROM metric_buckets "
        "WHERE column_key = 'cost' GROUP BY 1",
    )
    (_, *one), (_, *other) = found
    assert len(found) == 2
    assert one == other


async def test_scales_are_those_of_the_sources(connection: AsyncConnection) -> None:
    scales = {name: source.scale for name, source in SOURCES.items() if name != "requests"}
    scales |= {"latency<=5000000": 1_000_000, "cost<=7": 10**9, "units": FEEDBACK_SCALE}
    scales |= {"feedback:stars": FEEDBACK_SCALE, "yes:feedback:stars": FEEDBACK_SCALE}
    scales |= {"units_with:feedback:stars": 1, "units_with:error": 1}
    query = "SELECT name, headgate_column_scale(name) FROM unnest(CAST(:names AS text[])) AS name"
    assert dict(await rows(connection, query, names=list(scales))) == scales


async def test_packed_integers_are_read(connection: AsyncConnection) -> None:
    numbers = [0, 1, -1, 2**63 - 1, -(2**63), 256]
    packed = b"".join(number.to_bytes(8, "big", signed=True) for number in numbers)
    query = "SELECT headgate_int64(:packed, place) FROM generate_series(0, 6) AS place"
    assert [number for (number,) in await rows(connection, query, packed=packed)] == [*numbers, None]


async def test_totals_of_variants(connection: AsyncConnection, traffic: test.Traffic) -> None:
    found = (
        await connection.execute(
            sa.text("SELECT * FROM variant_totals WHERE experiment_key = :key ORDER BY variant_index"),
            {"key": filled.KEY},
        )
    ).mappings()
    for index, row in enumerate(found):
        mine = traffic.variant_of[traffic.unit] == index
        requests, errors = int(mine.sum()), int(traffic.values["error"][mine].sum())
        reported = mine & (traffic.reported_minute >= 0)
        assert row["variant_key"] == test.VARIANTS[index]
        assert (row["requests"], row["errors"]) == (requests, errors)
        assert row["units"] == int((traffic.variant_of == index).sum())
        assert row["error_rate"] == pytest.approx(errors / requests)
        assert row["mean_latency_seconds"] == pytest.approx(traffic.values["latency"][mine].mean() / 1e6)
        assert row["total_tokens"] == int(traffic.values["total_tokens"][mine].sum())
        assert row["mean_tokens"] == pytest.approx(traffic.values["total_tokens"][mine].mean())
        assert row["total_cost_usd"] == pytest.approx(traffic.values["cost"][mine].sum() / 1e9)
        assert row["mean_cost_usd"] == pytest.approx(traffic.values["cost"][mine].mean() / 1e9)
        satisfied = traffic.values["yes:feedback:satisfaction"][reported] > 0
        assert row["satisfaction_reports"] == len(satisfied)
        assert row["satisfaction_rate"] == pytest.approx(satisfied.mean())
    assert index == 1


async def test_an_experiment_without_bucket_sums_has_totals(connection: AsyncConnection) -> None:
    query = "SELECT requests > 0, total_tokens, satisfaction_reports, satisfaction_rate FROM variant_totals"
    found = await rows(connection, f"{query} WHERE experiment_key = :key", key=filled.CANARY_KEY)
    assert found == [(True, None, 0, None)] * 2


async def test_a_satisfaction_that_is_read_as_a_score_is_no_rate(connection: AsyncConnection) -> None:
    """Stars from 1 to 5 have no share: it would be 300 %."""
    as_score = (
        "UPDATE bucket_sums SET columns = "
        "array_replace(columns, 'yes:feedback:satisfaction', 'feedback:satisfaction')"
    )
    await connection.execute(sa.text(as_score))
    query = "SELECT satisfaction_reports, satisfaction_rate FROM variant_totals WHERE experiment_key = :key"
    assert set(await rows(connection, query, key=filled.KEY)) == {(0, None)}
    await connection.rollback()


async def test_data_quality_of_the_whole_and_of_an_experiment(connection: AsyncConnection) -> None:
    requests = len(test.simulate().unit)
    query = "SELECT kind, n, out_of, fraction FROM data_quality WHERE experiment_key IS NOT DISTINCT FROM "
    whole = {kind: rest for kind, *rest in await rows(connection, query + "NULL")}
    assert whole == {
        "outcomes": [requests, None, None],
        "missing": [4, requests + 4, 4 / (requests + 4)],
        "duplicate": [3, requests + 3, 3 / (requests + 3)],
        "dead_lettered": [1, requests + 1, 1 / (requests + 1)],
        "lost_records": [0, None, None],
    }
    of_test = {kind: n for kind, n, *_ in await rows(connection, query + ":key", key=filled.KEY)}
    assert of_test["outcomes"] == requests
    assert of_test["multiply_exposed"] == 2
    assert of_test["duplicate_feedback"] == 11
    of_canary = await rows(connection, query + ":key", key=filled.CANARY_KEY)
    assert {"multiply_exposed", "late_outcomes", "feedback"} < {str(kind) for kind, *_ in of_canary}


async def test_health_by_minute(connection: AsyncConnection) -> None:
    found = await rows(
        connection,
        "SELECT role, variant_key, count(*), min(minute)::text, max(treatment_share_bp), "
        "sum(errors)::float / sum(requests) = sum(error_rate * requests) / sum(requests) "
        "FROM canary_health_by_minute GROUP BY 1, 2 ORDER BY 1",
    )
    begin = "2026-11-12 09:00:00+00"
    assert [row[:5] for row in found] == [
        ("control", "current", 40, begin, 2_500),
        ("treatment", "mini", 40, begin, 2_500),
    ]


async def test_tests_do_not_show_among_canaries(connection: AsyncConnection) -> None:
    await connection.execute(sa.text("UPDATE experiments SET status = 'running'"))
    assert await rows(connection, "SELECT DISTINCT experiment_key FROM canary_health") == [
        (filled.CANARY_KEY,)
    ]


async def test_the_decision_names_the_variant_it_promotes(connection: AsyncConnection) -> None:
    query = "SELECT experiment_key, action, actor, variant_key, applied_after_seconds FROM decision_log"
    assert await rows(connection, query) == [(filled.KEY, "promote", "dana", "concise", 0.04)]
