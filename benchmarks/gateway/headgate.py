"""Headgate's gateway as a contender, with everything on.

Authentication, assignment in a running experiment whose lease is fresh, an endpoint to fail over to, and
outcome batches to a real Kafka. Afterwards its own figures must say that all of that happened.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import aiohttp

from benchmarks.gateway.contender import (
    READY_WITHIN_SECONDS,
    Contender,
    Surroundings,
    running,
    until_listening,
)
from benchmarks.gateway.environments import CHECKOUT, compiled_packages
from benchmarks.gateway.installation import KEY, NO_LIMITS, PLENTY, SECRET_VARIABLE, installed, route_names
from benchmarks.gateway.load import Target
from services.embedded.errors import NotReady
from services.embedded.ports import LOOPBACK, free_port
from services.embedded.processes import ManagedProcess
from services.messaging.settings import KafkaSettings

ACKNOWLEDGED_WITHIN_SECONDS = 10.0


NAME = "headgate"
PURE = f"{NAME}-pure"
UNLIMITED = "-unlimited"
"""How the names end of those without limits."""


class NotEverythingOn(Exception):
    """The gateway was not doing all of its work while it was measured."""


@dataclass(frozen=True, slots=True)
class Headgate:
    """Starts gateways on one Kafka; each call has an installation of its own, with so many routes.

    ``compiled`` as it ships; else the plain Python of this checkout. With ``limited``, every limit is on.
    """

    bootstrap_servers: str
    routes: int = 1
    name: str = NAME
    compiled: bool = True
    limited: bool = True

    def __call__(self, given: Surroundings) -> AbstractAsyncContextManager[Contender]:
        """Run a gateway."""
        return self._run(given)

    @asynccontextmanager
    async def _run(self, given: Surroundings) -> AsyncIterator[Contender]:
        kafka = KafkaSettings(kafka=self.bootstrap_servers, topic_prefix=f"{self.name}.")
        port = free_port()
        packages = await asyncio.to_thread(compiled_packages, given.say) if self.compiled else CHECKOUT
        process = ManagedProcess(
            self.name,
            # -P: the packages of the working directory must not come before those.
            [sys.executable, "-P", "-m", "services.cli.main", "gateway"],
            log_path=given.place / f"{self.name}.log",
            env={
                **os.environ,
                "PYTHONPATH": str(packages),
                "HEADGATE_KAFKA": kafka.kafka,
                "HEADGATE_TOPIC_PREFIX": kafka.topic_prefix,
                "HEADGATE_GATEWAY_PORT": str(port),
                "HEADGATE_GATEWAY_STATE_DIR": str(given.place / self.name),
                SECRET_VARIABLE: "sk-static",
            },
        )
        limits = PLENTY if self.limited else NO_LIMITS
        async with installed(kafka, given.base_url, self.routes, limits), running(process):
            await until_listening(process, port)
            await _until_serving(process, port, self.routes)
            if (await state_of(port))["compiled"] is not self.compiled:
                raise NotEverythingOn(f"{self.name} should {'' if self.compiled else 'not '}be compiled")
            names = route_names(self.routes)
            target = Target(port, "/v1/chat/completions", names, (("authorization", f"Bearer {KEY}"),))
            yield Contender(self.name, version("headgate"), process.pid, target)


async def _until_serving(process: ManagedProcess, port: int, routes: int) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    while (await state_of(port))["checks"]["config"]["routes"] < routes:
        process.raise_if_dead()
        if time.monotonic() > give_up_at:
            raise NotReady(f"{process.name} does not serve {routes} routes{process.tail_for_error()}")
        await asyncio.sleep(0.05)


async def state_of(port: int) -> dict[str, Any]:
    """Return what /readyz says."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{LOOPBACK}:{port}/readyz") as answer,
    ):
        state: dict[str, Any] = await answer.json()
        return state


async def check_everything_was_on(contender: Contender) -> dict[str, int]:
    """Return how many requests were served and outcomes acknowledged. Raises NotEverythingOn."""
    give_up_at = time.monotonic() + ACKNOWLEDGED_WITHIN_SECONDS
    while True:
        state = await state_of(contender.target.port)
        outcomes, served = state["checks"]["outcomes"], int(state["requests"]["served"])
        if outcomes["acknowledged"] == served or time.monotonic() > give_up_at:
            break
        await asyncio.sleep(0.05)
    if outcomes["shed"] or outcomes["acknowledged"] != served:
        raise NotEverythingOn(
            f"{served} requests, but {outcomes['acknowledged']} outcomes acknowledged and "
            f"{outcomes['shed']} shed"
        )
    if not state["checks"]["experiments"]["ok"]:
        raise NotEverythingOn(f"experiments without a lease: {state['checks']['experiments']['blind'][:3]}")
    limits = state["checks"]["limits"]
    limited = not contender.name.endswith(UNLIMITED)
    if bool(limits["shared"] and limits["tracked"]) is not limited or limits["held"]:
        raise NotEverythingOn(
            f"limits should {'' if limited else 'not '}be counted, shared, settled: {limits}"
        )
    return {"served": served, "outcomes_acknowledged": int(outcomes["acknowledged"])}
