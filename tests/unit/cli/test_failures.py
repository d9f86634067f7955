"""Errors as sentences that say what to do."""

import psycopg
import pytest
from click import ClickException
from sqlalchemy.exc import OperationalError, ProgrammingError

from services.cli.analysis import _understood
from services.cli.failures import sentence_of
from services.storage.settings import DatabaseSettings

URL = "postgresql://analyst@db.example/headgate"


def of(orig: psycopg.Error) -> OperationalError | ProgrammingError:
    wrapped = OperationalError if isinstance(orig, psycopg.OperationalError) else ProgrammingError
    return wrapped("SELECT 1", None, orig)


def unreachable() -> OperationalError | ProgrammingError:
    return of(psycopg.OperationalError("connection failed: Connection refused\n\tIs the server running?"))


@pytest.mark.parametrize(
    "reason",
    [
        'FATAL:  password authentication failed for user "analyst"',
        'FATAL:  role "analyst" does not exist',
        "fe_sendauth: no password supplied",
    ],
)
def test_who_is_refused_is_not_sent_to_migrate(reason: str) -> None:
    sentence = sentence_of(of(psycopg.OperationalError(f"connection failed: {reason}")))
    assert sentence is not None
    assert sentence.startswith("Postgres refuses the user or the password: connection failed: ")
    assert sentence.endswith("; correct HEADGATE_DATABASE_URL")


def test_a_missing_table_and_a_missing_right_say_what_to_do() -> None:
    missing = sentence_of(of(psycopg.errors.UndefinedTable('relation "x" does not exist\nLINE 1: SELECT')))
    assert missing is not None
    assert 'is no Headgate installation (relation "x" does not exist): name the right one' in missing
    denied = sentence_of(of(psycopg.errors.InsufficientPrivilege("permission denied for table x")))
    assert denied is not None
    assert denied.startswith("permission denied for table x: connect with HEADGATE_DATABASE_URL as")


def test_what_postgres_finds_wrong_with_our_sql_keeps_its_traceback() -> None:
    assert sentence_of(of(psycopg.errors.SyntaxError("syntax error"))) is None


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADGATE_DATABASE_URL", raising=False)
    with pytest.raises(ClickException) as unset, _understood(DatabaseSettings()):
        raise unreachable()
    assert unset.value.message.startswith("HEADGATE_DATABASE_URL is not set; set it, or give --database-url.")
    with pytest.raises(ClickException) as given, _understood(DatabaseSettings(database_url=URL)):
        raise unreachable()
    assert given.value.message == (
        "Postgres cannot be used: connection failed: Connection refused Is the server running?; see that it "
        "runs, and that HEADGATE_DATABASE_URL or --database-url names it"
    )
    monkeypatch.setenv("HEADGATE_DATABASE_URL", URL)
    with pytest.raises(ClickException) as set_, _understood(DatabaseSettings()):
        raise unreachable()
    assert set_.value.message == given.value.message
