"""Teams as callers define and see them."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from services.api.etags import Resource
from services.api.limit_bodies import LIMITS_EXAMPLE, Bounds, LimitsBody
from services.api.schemas import Key, Replacement
from services.storage.teams import Team


class TeamBody(Replacement):
    """A team: who keys belong to."""

    model_config = ConfigDict(json_schema_extra={"example": {"label": "Checkout", "limits": LIMITS_EXAMPLE}})
    label: str = Field(min_length=1, max_length=200)
    limits: Bounds = Field(default=None, description="Of all the team's keys together")


class NewTeam(TeamBody):
    """A team to create."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"key": "checkout", "label": "Checkout", "limits": LIMITS_EXAMPLE}}
    )
    key: Key


class TeamView(Resource):
    """A team."""

    key: str
    label: str
    limits: LimitsBody | None
    created_at: datetime

    @classmethod
    def of(cls, team: Team) -> TeamView:
        """Return what callers see of a team."""
        limits = LimitsBody.of(team.limits)
        return cls(key=team.key, label=team.label, limits=limits, created_at=team.created_at)
