"""How log records look: text for people, or one JSON object a line for whatever collects them.

What a record carries as ``extra`` becomes fields of the object. Nothing here knows of prompts, keys or
secrets: they are kept out where records are written, and tests plant some to see.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = ("text", "json")
FORMAT_VARIABLE = "HEADGATE_LOG_FORMAT"

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What is no field: what every record has, and uvicorn's message once more, with codes for a terminal."""
_RESERVED = frozenset({"timestamp", "level", "logger", "message", "pid", "exception"})
_encode = msgspec.json.Encoder(enc_hook=repr).encode


class JsonFormatter(logging.Formatter):
    """One object a record: timestamp (RFC 3339, UTC), level, logger, message, pid, its fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _exception(record.exc_info[1])
        return _spelled(line)


def formatter(wanted: str | None) -> logging.Formatter:
    """Return the formatter of a format's name; text unless there is one. Raises ValueError."""
    name = (wanted or "text").strip().lower()
    if name not in FORMATS:
        raise ValueError(f"{FORMAT_VARIABLE} is {wanted!r}; set it to {' or '.join(FORMATS)}")
    return JsonFormatter() if name == "json" else logging.Formatter(_TEXT)


def log_what_nobody_caught() -> None:
    """Have uncaught exceptions and Python's warnings logged, so that every line is one of ours."""
    logger = logging.getLogger("headgate")

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        logger.critical("this process ends by an exception", exc_info=(kind, error, trace))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            told = (args.exc_type, args.exc_value, args.exc_traceback)
            logger.error("a thread ended by an exception", exc_info=told)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    logging.captureWarnings(capture=True)


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    return {f"{name}_" if name in _RESERVED else name: value for name, value in own.items()}


def _exception(error: BaseException) -> dict[str, str]:
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": str(error),
        "stacktrace": "".join(traceback.format_exception(error)),
    }


def _timestamp(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spelled(line: dict[str, Any]) -> str:
    try:
        return _encode(line).decode()
    except (TypeError, ValueError):
        # Text that is none in UTF-8, or what is no JSON: escaped, rather than not said at all.
        return json.dumps(line, default=repr, skipkeys=True)
