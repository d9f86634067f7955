"""Errors that a person at a terminal can do something about, as one sentence each."""

from __future__ import annotations

import errno

from services.domain.errors import HeadgateError


def sentence_of(error: BaseException) -> str | None:  # noqa: PLR0911 - a table of cases
    """Return what to tell the person, or None where the error is a fault of ours and needs its traceback."""
    from aiokafka.errors import KafkaError
    from pydantic import ValidationError
    from sqlalchemy.exc import InterfaceError, OperationalError

    from services.embedded.errors import EmbeddedError

    match error:
        case BaseExceptionGroup() if len(error.exceptions) == 1:
            return sentence_of(error.exceptions[0])
        case HeadgateError() | EmbeddedError():
            return str(error)
        case ValidationError():
            return "; ".join(_setting(dict(problem)) for problem in error.errors(include_input=False))
        case OperationalError() | InterfaceError():
            reason = " ".join(str(error.orig).split())
            return f"Postgres cannot be used: {reason}; see HEADGATE_DATABASE_URL, and run `headgate migrate`"
        case KafkaError():
            return f"Kafka cannot be used: {error}; see HEADGATE_KAFKA"
        case OSError() if error.errno == errno.EADDRINUSE:
            return f"{error.strerror or error}; stop what listens there, or set another port"
        case _:
            return None


def _setting(problem: dict[str, object]) -> str:
    place = problem["loc"]
    name = "HEADGATE_" + "_".join(str(part) for part in place).upper() if isinstance(place, tuple) else ""
    if problem["type"] == "missing":
        return f"{name} is not set; give it a value in the environment"
    return f"{name}: {str(problem['msg']).removeprefix('Value error, ')}"
