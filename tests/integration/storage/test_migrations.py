"""The schema goes up and down, and is what ``services.storage.tables`` says."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.util import CommandError

from services.storage import migrate
from services.storage.tables import metadata


def execute(url: str, statement: str, **parameters: object) -> list[sa.Row[tuple[object, ...]]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement), parameters)
        return list(result) if result.returns_rows else []


def test_the_database_is_what_the_tables_say(database_url: str) -> None:
    migrate.check(database_url)


def test_the_check_sees_a_difference(database_url: str) -> None:
    execute(database_url, "ALTER TABLE routes DROP COLUMN unit_fallback")
    with pytest.raises(CommandError, match="unit_fallback"):
        migrate.check(database_url)


def test_up_down_up(empty_database_url: str) -> None:
    assert migrate.current_revision(empty_database_url) is None
    migrate.upgrade(empty_database_url)
    head = migrate.current_revision(empty_database_url)
    assert head is not None

    migrate.downgrade(empty_database_url, "base")
    left = execute(
        empty_database_url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )
    assert {row[0] for row in left} <= {"alembic_version", "alembic_version_pkc"}

    migrate.upgrade(empty_database_url)
    assert migrate.current_revision(empty_database_url) == head
    migrate.check(empty_database_url)


def test_each_step_goes_down_and_up_by_itself(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    while (revision := migrate.current_revision(empty_database_url)) is not None:
        migrate.downgrade(empty_database_url, "-1")
        migrate.upgrade(empty_database_url, revision)
        migrate.downgrade(empty_database_url, "-1")


def test_two_migrations_at_once_wait_for_each_other(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate.upgrade, [empty_database_url] * 2))
    migrate.check(empty_database_url)


def test_everything_says_what_it_is_for(database_url: str) -> None:
    silent = execute(
        database_url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') "
        "AND relname <> 'alembic_version' AND obj_description(oid, 'pg_class') IS NULL "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND obj_description(oid, 'pg_proc') IS NULL",
    )
    assert silent == []
    assert all(table.comment for table in metadata.tables.values())


def test_a_migration_does_not_queue_traffic_behind_a_lock(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "2026_11_23_1")
    engine = sa.create_engine(empty_database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE routes"))
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
            migrate.downgrade(empty_database_url, "base")
    assert migrate.current_revision(empty_database_url) == "2026_11_23_1"


def test_what_was_summed_for_shares_of_feedback_keeps_its_meaning(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "2026_11_23_15")
    metrics = [
        {"key": "a", "source": "feedback:a", "kind": "proportion"},
        {"key": "b", "source": "feedback:b", "kind": "mean"},
        {"key": "c", "source": "feedback:c", "kind": "proportion", "per": "unit"},
        {"key": "d", "source": "feedback:d", "kind": "proportion", "per": "request"},
    ]
    execute(
        empty_database_url,
        "INSERT INTO experiments (experiment_id, key, route_key, kind, status, definition, control) "
        "VALUES (gen_random_uuid(), 'test', 'chat', 'ab_test', 'draft', CAST(:definition AS jsonb), 'old')",
        definition=json.dumps({"metrics": metrics}),
    )
    columns = ["units", "feedback:a", "feedback:b", "units_with:feedback:c", "feedback:d"]
    execute(
        empty_database_url,
        "INSERT INTO bucket_sums "
        "(experiment_id, phase, variant_index, segment, partition, partitions, columns, sums) "
        "SELECT experiment_id, 1, 0, '', 0, 1, string_to_array(:columns, ' '), '' FROM experiments",
        columns=" ".join(columns),
    )
    found = "SELECT array_to_string(columns, ' ') FROM bucket_sums"
    migrate.upgrade(empty_database_url)
    renamed = ["units", "yes:feedback:a", "feedback:b", "units_with:feedback:c", "yes:feedback:d"]
    assert execute(empty_database_url, found)[0][0].split(" ") == renamed
    migrate.downgrade(empty_database_url, "2026_11_23_15")
    assert execute(empty_database_url, found)[0][0].split(" ") == columns
