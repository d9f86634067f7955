"""Evidence leases: a treatment that nobody measures gets no traffic, and the log says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from services.domain.configuration import ExperimentConfig, TestConfig

if TYPE_CHECKING:
    from services.gateway.config import ConfigStore
    from services.gateway.view import ConfigView

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0

Measured = ExperimentConfig | TestConfig
"""What somebody has to measure to get traffic."""


class Leased:
    """What is served while somebody measures it, if it is ``measured`` at all.

    It looks for the lease again when the one it saw is over.
    """

    __slots__ = ("_measured", "_until")

    def __init__(self, measured: Measured | None) -> None:
        self._measured = measured
        self._until = 0.0

    def is_blind(self, measured_at: Mapping[UUID, float], now: float) -> bool:
        """Say whether nobody has measured the experiment for longer than its lease allows."""
        if now <= self._until or self._measured is None:
            return False
        self._until = _lease_end(self._measured, measured_at)
        return now > self._until


def _lease_end(experiment: Measured, measured_at: Mapping[UUID, float]) -> float:
    return measured_at.get(experiment.experiment_id, 0.0) + experiment.lease_limit_seconds


def blind_experiments(view: ConfigView, now: float) -> list[Measured]:
    """Return the running experiments that nobody measures."""
    # A list is made in one step, so this may be asked from another thread than the one that changes the view.
    routes = list(view.routes.values())
    running = (one for route in routes for one in (route.config.experiment, route.config.test))
    return [one for one in running if one is not None and now > _lease_end(one, view.measured_at)]


async def watch_leases(store: ConfigStore, clock: Callable[[], float] = time.time) -> None:
    """Log each lease that runs out and each that comes back, for ever."""
    known: set[str] = set()
    while True:
        blind = {one.key: one for one in blind_experiments(store.view, clock())}
        for key in blind.keys() - known:
            _log_blind(blind[key], was_measured=blind[key].experiment_id in store.view.measured_at)
        for key in known - blind.keys():
            logger.info("experiment %s: measured again, or over", key, extra={"experiment": key})
        known = set(blind)
        await asyncio.sleep(LOOK_SECONDS)


def _log_blind(experiment: Measured, *, was_measured: bool) -> None:
    since = f"for over {experiment.lease_limit_seconds:g} s" if was_measured else "yet"
    consequence = "its split is held" if experiment.on_blind == "hold" else "its treatment gets no traffic"
    logger.warning(
        "experiment %s: nobody has measured it %s; %s until somebody does",
        experiment.key,
        since,
        consequence,
        extra={"experiment": experiment.key},
    )
