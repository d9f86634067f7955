"""Keys as callers ask for them and see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field

from services.api.etags import Resource
from services.api.limit_bodies import Bounds, LimitsBody
from services.api.schemas import Body, distinct
from services.domain.access import KeyState, Role
from services.domain.configuration import Scope
from services.storage.credentials import Credential

LONGEST_OVERLAP_SECONDS = 90 * 86_400
DAY_SECONDS = 86_400


def _text(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError(  # noqa: TRY004 - validators take no TypeError for wrong input
            "must be a time with its zone, such as 2027-01-31T00:00:00Z"
        )
    return value


Label = Annotated[str, Field(min_length=1, max_length=200)]
RouteKeys = Annotated[list[str], Field(min_length=1, max_length=1_000), AfterValidator(distinct)]
Scopes = Annotated[list[Scope], AfterValidator(distinct)]
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text)]

_ROUTES = "The routes it may use; all of them when null"
_SCOPES = "`force_variant`: may name the variant in `x-headgate-force-variant`"
_EXPIRES = "From when on it is refused; never when null"


class NewKey(Body):
    """A key to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "label": "checkout service",
                "expires_at": "2099-01-31T00:00:00Z",
                "limits": {"requests_per_minute": 600, "dollars_per_day": 20},
            }
        }
    )
    label: Label
    role: Role = Field(
        default="client",
        description="`client` asks models at the gateway; `viewer`, `editor` and `admin` are of this api",
    )
    team: str | None = Field(default=None, description="The team it belongs to")
    routes: RouteKeys | None = Field(default=None, description=_ROUTES)
    scopes: Scopes = Field(default=[], description=_SCOPES)
    limits: Bounds = Field(default=None, description="Of its own requests")
    expires_at: Moment | None = Field(default=None, description=_EXPIRES)


class ChangedKey(Body):
    """What is to be different of a key; what is left out stays as it is. Its role and its secret stay."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"label": "checkout service, blue", "limits": None}}
    )
    label: Label = Field(default="")
    team: str | None = Field(default=None, description="The team it belongs to; none when null")
    routes: RouteKeys | None = Field(default=None, description=_ROUTES)
    scopes: Scopes = Field(default=[], description=_SCOPES)
    limits: LimitsBody | None = Field(
        default=None,
        description="Of its own requests: those that are sent change, null takes one away; none when null",
    )
    expires_at: Moment | None = Field(default=None, description=_EXPIRES)


class RotateBody(Body):
    """How a key is replaced."""

    model_config = ConfigDict(json_schema_extra={"example": {"overlap_seconds": 3_600}})
    overlap_seconds: int = Field(
        default=DAY_SECONDS,
        ge=0,
        le=LONGEST_OVERLAP_SECONDS,
        description="How long the old key goes on working; 0 revokes it at once",
    )
    expires_at: Moment | None = Field(
        default=None, description="Of the new key; when null, it lives as long as the old one was given to"
    )


class KeyView(Resource):
    """A key, without the key itself. `expiring`: it has less than a week left."""

    volatile: ClassVar[frozenset[str]] = frozenset({"state", "last_used_at"})

    key_id: str
    label: str
    role: Role
    team: str | None
    routes: list[str] | None
    scopes: list[str]
    limits: LimitsBody | None
    state: KeyState
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None = Field(description="The key that this one was made to replace")
    successor: str | None = Field(description="The newest key that was made to replace this one")

    @classmethod
    def of(cls, credential: Credential) -> KeyView:
        """Return what callers see of a key later on."""
        return cls(
            key_id=credential.key_id,
            label=credential.label,
            role=credential.role,
            team=credential.team_key,
            routes=None if credential.routes is None else list(credential.routes),
            scopes=list(credential.scopes),
            limits=LimitsBody.of(credential.limits),
            state=credential.state,
            created_at=credential.created_at,
            expires_at=credential.expires_at,
            revoked_at=credential.revoked_at,
            last_used_at=credential.last_used_at,
            rotated_from=credential.rotated_from,
            successor=credential.successor,
        )


class NewKeyView(KeyView):
    """A key, shown this once."""

    volatile: ClassVar[frozenset[str]] = KeyView.volatile | {"key"}

    key: str | None = Field(
        description="Null where a request is sent again: it is not kept. Revoke the key and create another"
    )
