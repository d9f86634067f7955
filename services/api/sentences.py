"""What is wrong with a field, as a sentence that begins with the field's name.

A validator says "Input should be …" of things it calls by their Python names; callers sent JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNION_TAG = "union_tag"
"""The type of error where a body could be one of several things and does not say which."""

UNION_TAGS = frozenset({"sequential", "threshold", "canary", "ab_test", "shadow", "blue_green"})
"""What validators put into a location to say which of several things a body is; callers never sent it."""

_DAY = "must be a day such as 2026-11-20"

_SENTENCES: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "unknown field",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number that is neither infinite nor NaN",
    "none_required": "must be null",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "datetime_parsing": "must be a time such as 2026-11-20T12:00:00Z",
    "datetime_from_date_parsing": "must be a time such as 2026-11-20T12:00:00Z",
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "timezone_aware": "must say its time zone, such as the Z in 2026-11-20T12:00:00Z",
}

_MINIMA = frozenset({"string_too_short", "too_short"})

_OBJECT_WANTED = frozenset({"model_attributes_type", "model_type", "dict_type"})

_PATTERNS: Mapping[str, str] = {
    r"^[a-z0-9][a-z0-9._-]{0,62}$": (
        "must be of a-z, 0-9 and . _ -, begin with a letter or digit, and have at most 63 characters"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,126}$": (
        "must be of letters, digits and . _ - : /, begin with a letter or digit, and have at most 127 "
        "characters"
    ),
    r"^[A-Za-z0-9-]+$": "must be the name of a header: letters, digits and -",
    r"^/[!-~]*$": "must begin with / and hold no spaces",
}


def sentence(error: Mapping[str, Any]) -> str:
    """Return what is wrong in words of our own; in the validator's where there are none."""
    context = error.get("ctx", {})
    kind = str(error["type"])
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return _PATTERNS.get(pattern, f"must match {pattern}")
    if kind in _OBJECT_WANTED and isinstance(error.get("input"), bytes):
        return 'was not read as JSON: send the header "Content-Type: application/json"'
    if kind in _MINIMA and context["min_length"] == 1:
        return "must not be empty"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format(**{name: _digits(value) for name, value in context.items()})
    return str(error["msg"]).removeprefix("Value error, ")


def _digits(value: Any) -> Any:
    """Return a number as callers would type it, 7776000 and 0.000001; anything else as it is."""
    return f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, (int, float)) else value
