"""Errors that a person at a terminal can do something about, as one sentence each."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from services.domain.errors import HeadgateError

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

UNDEFINED_TABLE = "42P01"
INSUFFICIENT_PRIVILEGE = "42501"
REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "authentication failed for user",
    "is not permitted to log in",
    "no pg_hba.conf entry",
)
"""What Postgres says to a user it does not let in; such errors reach us without their number."""


def sentence_of(error: BaseException) -> str | None:  # noqa: PLR0911 - a table of cases
    """Return what to tell the person, or None where the error is a fault of ours and needs its traceback."""
    from aiokafka.errors import KafkaError
    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    from services.embedded.errors import EmbeddedError

    match error:
        case BaseExceptionGroup() if len(error.exceptions) == 1:
            return sentence_of(error.exceptions[0])
        case HeadgateError() | EmbeddedError():
            return str(error)
        case ValidationError():
            return "; ".join(_setting(dict(problem)) for problem in error.errors(include_input=False))
        case DBAPIError():
            return of_database(error)
        case KafkaError():
            return f"Kafka cannot be used: {error}; see HEADGATE_KAFKA"
        case OSError() if error.errno == errno.EADDRINUSE:
            return f"{error.strerror or error}; stop what listens there, or set another port"
        case _:
            return None


def of_database(error: DBAPIError, named_by: str = "HEADGATE_DATABASE_URL") -> str | None:
    """Return what is wrong with a database, or with its user; both come from ``named_by``."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    if sqlstate(error) == UNDEFINED_TABLE:
        return (
            f"this database is no Headgate installation ({_first_line(error)}): name the right one with "
            f"{named_by}; `headgate migrate` makes it one"
        )
    if sqlstate(error) == INSUFFICIENT_PRIVILEGE:
        return (
            f"{_first_line(error)}: connect with {named_by} as a user who may; for reports it is enough that "
            "the owner of the database runs GRANT headgate_reader TO this user"
        )
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    said = " ".join(str(error.orig).split())
    if _is_refused(said):
        return f"Postgres refuses the user or the password: {said}; correct {named_by}"
    return f"Postgres cannot be used: {said}; see that it runs, and that {named_by} names it"


def sqlstate(error: DBAPIError) -> str | None:
    """Return the number of an error by which Postgres tells it; None where it never got that far."""
    return getattr(error.orig, "sqlstate", None)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]


def _is_refused(said: str) -> bool:
    no_such_role = "role " in said and "does not exist" in said
    return no_such_role or any(refusal in said for refusal in REFUSALS)


def _setting(problem: dict[str, object]) -> str:
    place = problem["loc"]
    name = "HEADGATE_" + "_".join(str(part) for part in place).upper() if isinstance(place, tuple) else ""
    if problem["type"] == "missing":
        return f"{name} is not set; give it a value in the environment"
    return f"{name}: {str(problem['msg']).removeprefix('Value error, ')}"
