"""``/v1/teams``: who keys belong to, and what a team's keys may use together."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.common import PROBLEMS, Database, publish, unpublish
from services.api.limit_bodies import limits_of
from services.api.paging import Paged, Prefix
from services.api.roles import takes
from services.api.team_bodies import NewTeam, TeamBody, TeamView
from services.api.transactions import Changing, Creating, Route, Transaction
from services.api.views import Items
from services.storage import audit, configuration, teams
from services.storage.teams import Team

router = APIRouter(prefix="/v1/teams", tags=["teams"], responses=PROBLEMS, route_class=Route)


@router.post("", status_code=201)
@takes("admin")
async def create_team(body: NewTeam, transaction: Creating) -> TeamView:
    """Create a team. Keys are given to it when they are created, or later."""
    team = await teams.create(transaction.connection, body.key, body.label, limits_of(body.limits))
    await _publish(transaction.connection, team)
    await _note(transaction, "create", after=team)
    return TeamView.of(team)


@router.get("")
async def list_teams(database: Database, paging: Paged, q: Prefix = None) -> Items[TeamView]:
    """List the teams, by key."""
    async with database.connect() as connection:
        found = await teams.page(connection, paging.page(tuple[str]), prefix=q)
    return paging.items(found, TeamView.of)


@router.get("/{key}")
async def show_team(key: str, database: Database) -> TeamView:
    """Show a team. `GET /v1/keys?team=…` lists its keys."""
    async with database.connect() as connection:
        return TeamView.of(await teams.get(connection, key))


@router.put("/{key}")
@takes("admin")
async def replace_team(key: str, body: TeamBody, transaction: Changing) -> TeamView:
    """Replace a team's label and limits, for all its keys at once."""
    body.check_key(key)
    before = await _seen(transaction, key)
    after = await teams.update(transaction.connection, key, body.label, limits_of(body.limits))
    await _publish(transaction.connection, after)
    await _note(transaction, "replace", before=before, after=after)
    return TeamView.of(after)


@router.delete("/{key}")
@takes("admin")
async def delete_team(key: str, transaction: Changing) -> TeamView:
    """Delete a team that has no keys any more but revoked and expired ones, and return what it was."""
    before = await _seen(transaction, key)
    await teams.delete(transaction.connection, key)
    await unpublish(transaction.connection, before.config((0, 0)))
    await _note(transaction, "delete", before=before)
    return TeamView.of(before)


async def _seen(transaction: Transaction, key: str) -> Team:
    """Return the team, held, where it is as the caller has seen it."""
    team = await teams.get(transaction.connection, key, lock=True)
    transaction.check_seen(TeamView.of(team))
    return team


async def _publish(connection: AsyncConnection, team: Team) -> None:
    await publish(connection, team.config(await configuration.next_version(connection)))


async def _note(
    transaction: Transaction, action: str, *, before: Team | None = None, after: Team | None = None
) -> None:
    either = after or before
    await audit.record(
        transaction.connection,
        actor=transaction.actor,
        action=action,
        subject=f"team/{'' if either is None else either.key}",
        before=_plain(before),
        after=_plain(after),
    )


def _plain(team: Team | None) -> dict[str, Any] | None:
    return None if team is None else TeamView.of(team).model_dump()
