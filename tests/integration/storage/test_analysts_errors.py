"""What `headgate report` and `replay` say to analysts whose database, user or directory is a wrong one."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.engine import make_url

from services.cli.main import main
from services.storage.contract import READER
from tests.integration.storage import filled

DECISION = str(filled.DECISION_ID)


def headgate(*arguments: str, url: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env={"HEADGATE_DATABASE_URL": url})


def refused(result: Result) -> str:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert len(result.stderr.splitlines()) <= 2
    return result.stderr


def of(url: str, **parts: str) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


@pytest.fixture
def users(postgres: str) -> Iterator[tuple[str, str]]:
    """A member of the analysts' role, and somebody who is in no role."""
    names = (f"reader_{uuid.uuid4().hex[:8]}", f"nobody_{uuid.uuid4().hex[:8]}")
    engine = sa.create_engine(postgres, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"CREATE ROLE {name} LOGIN PASSWORD 'x'"))
        connection.execute(sa.text(f"GRANT {READER} TO {names[0]}"))
        yield names
        for name in names:
            connection.execute(sa.text(f"DROP ROLE {name}"))


def test_an_analyst_is_told_as_whom_decisions_are_replayed(filled_url: str, users: tuple[str, str]) -> None:
    reader, nobody = (of(filled_url, username=name, password="x") for name in users)
    said = refused(headgate("replay", DECISION, "--database-url", reader))
    assert "reads the inputs of decisions, which the role headgate_reader may not" in said
    assert "the user of the services" in said
    assert headgate("report", "--list", url=reader).exit_code == 0
    assert "GRANT headgate_reader TO this user" in refused(headgate("report", "--list", url=nobody))


def test_a_database_without_the_schema_is_no_installation(filled_url: str, tmp_path: Path) -> None:
    other = of(filled_url, database="postgres")
    for call in (["report", filled.KEY, "--out", str(tmp_path)], ["report", "--list"], ["replay", DECISION]):
        said = refused(headgate(*call, "--database-url", other))
        assert 'is no Headgate installation (relation "' in said
        assert "name the right one with HEADGATE_DATABASE_URL or --database-url" in said


def test_a_directory_that_cannot_be_made_is_named(filled_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "x"
    said = refused(headgate("report", filled.KEY, "--out", str(out), url=filled_url))
    assert (
        said == f"Error: {out} cannot be made (Not a directory); name a directory you may write with --out\n"
    )


def test_an_unknown_user_is_said_to_be_refused(filled_url: str) -> None:
    said = refused(headgate("report", "--list", url=of(filled_url, username="mistyped", password="x")))
    assert "Postgres refuses the user or the password" in said
    assert "migrate" not in said
