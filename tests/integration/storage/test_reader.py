"""The role that may read the contract and nothing else: one for all databases of a cluster."""

import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from services.embedded.postgres import EmbeddedPostgres
from services.storage import migrate
from services.storage.contract import READER, RELATIONS

PRIVILEGES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') "
    "AND has_table_privilege('headgate_reader', oid, '{}')"
)
EXISTS = "SELECT FROM pg_roles WHERE rolname = 'headgate_reader'"


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def test_it_reads_the_contract_and_nothing_else(database_url: str) -> None:
    readable = {name for (name,) in execute(database_url, PRIVILEGES.format("SELECT"))}
    assert readable == set(RELATIONS)
    for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
        assert execute(database_url, PRIVILEGES.format(privilege)) == []


def test_every_view_and_function_works_for_it(database_url: str) -> None:
    become = f"SET LOCAL ROLE {READER}"
    for relation in RELATIONS:
        execute(database_url, become, f"SELECT * FROM {relation} LIMIT 1")  # noqa: S608 - a constant
    assigned = "SELECT headgate_assigned_variant('none', 1, 'user'), headgate_analysis_bucket(0)"
    assert execute(database_url, become, assigned) == [(None, 0)]
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        execute(database_url, become, "SELECT * FROM credentials")


def test_several_databases_of_a_cluster_migrate_at_once(own_postgres: EmbeddedPostgres) -> None:
    urls = [own_postgres.create_database(f"one_of_several_{number}") for number in range(3)]
    # Processes, as in life: Alembic keeps where it is in the module.
    with ProcessPoolExecutor(len(urls), mp_context=get_context("spawn")) as pool:
        list(pool.map(migrate.upgrade, urls))
    for url in urls:
        assert {name for (name,) in execute(url, PRIVILEGES.format("SELECT"))} == set(RELATIONS)

    migrate.downgrade(urls[0], "2026_11_23_4")
    assert execute(urls[0], PRIVILEGES.format("SELECT")) == []
    assert {name for (name,) in execute(urls[1], PRIVILEGES.format("SELECT"))} == set(RELATIONS)
    migrate.upgrade(urls[0])
    assert {name for (name,) in execute(urls[0], PRIVILEGES.format("SELECT"))} == set(RELATIONS)


def test_a_user_who_may_not_create_roles_is_told_what_to_run(
    own_postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = own_postgres.create_database("somebodys")
    execute(url, "CREATE ROLE somebody LOGIN PASSWORD 'x'", "ALTER DATABASE somebodys OWNER TO somebody")
    theirs = make_url(url).set(username="somebody", password="x").render_as_string(hide_password=False)

    with caplog.at_level(logging.WARNING):
        migrate.upgrade(theirs)

    assert execute(url, EXISTS) == []
    created, added = [record.getMessage() for record in caplog.records]
    assert "may not create the role headgate_reader" in created
    execute(url, *created[created.index("CREATE ROLE") :].strip(";").split(";"))
    execute(url, added[added.index("GRANT") :].strip(";"))
    assert {name for (name,) in execute(url, PRIVILEGES.format("SELECT"))} == set(RELATIONS)

    migrate.downgrade(theirs, "base")
    assert execute(url, EXISTS) == [()]
    execute(url, f"DROP ROLE {READER}")
