"""What request bodies have in common. They are checked field by field; unknown fields are refused by name.

Rules that belong to the domain (steps that rise, a control that differs) are checked there.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from services.domain.errors import InvalidDefinition

Value = TypeVar("Value")
UNKNOWN_FIELD = "unknown_field"
LARGEST_NUMBER = 1_000_000_000
MAX_VARIANT_PART_BYTES = 150_000
"""Of a variant's prompt and of its parameters: all variants of a route must fit into one Kafka record."""


def web_address(url: str) -> str:
    """Return the URL of a server, without a slash at its end."""
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be http(s)://host[:port][/path], without credentials, query or fragment")
    return url.rstrip("/")


def _moderate(value: Any) -> Any:
    """Refuse numbers that would overflow wherever they are used: as a date, as a count, in a gateway."""
    if isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
        raise ValueError(f"must be between -{LARGEST_NUMBER:,} and {LARGEST_NUMBER:,}")
    return value


def storable(value: Value) -> Value:
    """Return a value that JSON and Postgres can hold."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:  # also UnicodeEncodeError, for half a surrogate pair
        raise ValueError("holds a number or a character that JSON cannot carry") from None
    if rb"\u0000" in text:
        raise ValueError("holds a NUL character, which Postgres cannot store")
    if len(text) > MAX_VARIANT_PART_BYTES:
        raise ValueError(f"is over {MAX_VARIANT_PART_BYTES:,} bytes")
    return value


def distinct(items: list[str]) -> list[str]:
    """Return the items, none of which may be there twice."""
    if len(set(items)) != len(items):
        raise ValueError("names the same thing twice")
    return items


Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
RouteKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,126}$",
        description="What clients put in `model`: letters, digits and . _ - : /",
    ),
]
Reason = Annotated[str, Field(min_length=1, max_length=1_000)]


class Body(BaseModel):
    """What every request body has in common."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    _numbers = field_validator("*")(_moderate)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_fields_there_are(cls, data: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return check(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if not any(_is_unknown_field(one) for one in found):
                raise
            fields = ", ".join(cls.model_fields)
            raise ValidationError.from_exception_data(
                error.title, [_with_fields(one, fields) for one in found]
            ) from None


def _is_unknown_field(error: ErrorDetails) -> bool:
    return error["type"] == "extra_forbidden" and len(error["loc"]) == 1


def _with_fields(error: ErrorDetails, fields: str) -> InitErrorDetails:
    """The same error; that of an unknown field says which there are, as one of a nested body may already."""
    kind: str | PydanticCustomError = error["type"]
    context = error.get("ctx", {})
    if _is_unknown_field(error) or kind == UNKNOWN_FIELD:
        known = {"fields": context.get("fields", fields)}
        kind = PydanticCustomError(UNKNOWN_FIELD, "unknown field; there are {fields}", known)
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


class Replacement(Body):
    """A definition to put in another's place. What was shown or exported may be sent back as it is."""

    key: str | None = Field(
        default=None, max_length=200, description="Need not be there; where it is, the key in the address"
    )

    def check_key(self, key: str) -> None:
        """Raise InvalidDefinition where the body names another key than the address."""
        if self.key is not None and self.key != key:
            raise InvalidDefinition(
                "key", f"is {self.key!r}, but the address says {key!r}; a key never changes"
            )


class VerbBody(Body):
    """What every verb may be given."""

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "seen enough on the dashboard"}})
    reason: Reason = "asked for by hand"


class ShareBody(VerbBody):
    """The share of a canary's treatment, set by hand."""

    model_config = ConfigDict(json_schema_extra={"example": {"share": 0.2, "reason": "look closer"}})
    share: float


class PromoteBody(VerbBody):
    """Which variant becomes the stable one."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"variant": "short-prompt", "reason": "fewer tokens, same satisfaction"}
        }
    )
    variant: str | None = Field(
        default=None, description="The treatment to promote; needed where there are several"
    )
    holdback: bool = Field(
        default=True,
        description="Watch it against a holdback first, as its plan says; false: for good at once",
    )
