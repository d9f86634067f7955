"""``/healthz`` and ``/readyz``: does the process answer, and can it do its work."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.api.common import Database
from services.api.problems import problem
from services.domain.errors import InstallationMismatch
from services.storage.installation import read_installation

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(database: Database) -> JSONResponse:
    """Say whether the database answers and was migrated."""
    try:
        async with database.connect() as connection:
            installation = await read_installation(connection)
    except InstallationMismatch as error:
        return problem(503, error.code, str(error), "/readyz")
    except sa.exc.ProgrammingError:
        return problem(
            503, "not_migrated", "the database has no schema yet; run `headgate migrate`", "/readyz"
        )
    return JSONResponse({"status": "ready", "installation_id": str(installation.installation_id)})
