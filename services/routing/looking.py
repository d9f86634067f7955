"""Looking into the database for what operators watch, every so often."""

from __future__ import annotations

import asyncio
import logging
from typing import Never

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.routing.metrics import RoutingMetrics
from services.storage.overview import read_overview

logger = logging.getLogger(__name__)


async def look_for_ever(engine: AsyncEngine, metrics: RoutingMetrics, every_seconds: float) -> Never:
    """Look now and every so often. What was seen last stays, and its age says so."""
    while True:
        try:
            async with engine.connect() as connection:
                metrics.looked(await read_overview(connection))
        except sa.exc.DBAPIError as error:
            # Whatever it is: who watches must not stop what is watched.
            logger.warning("cannot read what is watched: %s; trying again", error.orig)
        await asyncio.sleep(every_seconds)
