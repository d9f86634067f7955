"""Who follows requests, as settings and environment have it: traces, metrics, and the access log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.gateway.access_log import LoggedRequest
from services.gateway.telemetry.choosing import Signal, chosen
from services.gateway.watching import Watch, together

if TYPE_CHECKING:
    from services.gateway.telemetry.exporting import Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watching:
    """What follows each request, None for nothing, and what exports it."""

    watch: Watch | None = None
    telemetry: Telemetry | None = None

    async def stop(self, *, within_seconds: float) -> None:
        """Export what is waiting, as far as the time allows."""
        if self.telemetry is not None:
            await self.telemetry.stop(within_seconds=within_seconds)


UNWATCHED = Watching()


def compose_watching(environment: Mapping[str, str], *, access_log: bool) -> Watching:
    """Put together what is asked for. A wrong variable costs telemetry, and no request."""
    wanted = chosen(environment)
    for problem in wanted.problems:
        logger.error("no telemetry of that kind: %s", problem)
    telemetry = _telemetry(wanted.signals) if wanted.signals else None
    watches: list[Watch] = [] if telemetry is None else [telemetry.watch]
    if access_log:
        watches.append(LoggedRequest)
    return Watching(together(watches), telemetry)


def _telemetry(signals: frozenset[Signal]) -> Telemetry:
    # The SDK takes memory and a second of the start: for those who use it.
    from services.gateway.telemetry.exporting import Telemetry  # noqa: PLC0415

    logger.info("exporting %s by OTLP", " and ".join(sorted(signals)))
    return Telemetry(signals)
