"""Active probes: each gateway process asks the endpoints that want it, and leaves out those that fail."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from services.domain.configuration import EndpointConfig, ProbeSettings
from services.gateway.config import ConfigStore
from services.gateway.health import EndpointHealth, HealthBook, ProbeResult
from services.gateway.providers import credentials
from services.gateway.secret_references import SecretResolver
from services.gateway.upstream import Ask, Upstream, UpstreamFailed, UpstreamRequest

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
FAILURES_TO_LEAVE = 2
"""So many in a row take an endpoint out; one success brings it back."""
READ_BYTES = 64 * 1024


class Prober:
    """Probes endpoints through the transport that requests take."""

    def __init__(
        self,
        upstream: Upstream,
        secrets: SecretResolver,
        book: HealthBook,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._secrets = secrets
        self._book = book
        self._clock = clock
        self._due: dict[str, float] = {}

    async def run(self, store: ConfigStore) -> None:
        """Probe for ever, as the configuration has it."""
        async with asyncio.TaskGroup() as group:
            while True:
                endpoints = store.view.endpoints
                self._book.forget_all_but(endpoints)
                for endpoint in endpoints.values():
                    if endpoint.probe is None:
                        self._stop(endpoint)
                    elif self._is_due(endpoint.key):
                        self._due[endpoint.key] = float("inf")
                        group.create_task(self._probe(endpoint, endpoint.probe))
                await asyncio.sleep(LOOK_SECONDS)

    async def ask(self, endpoint: EndpointConfig, probe: ProbeSettings) -> str:
        """Probe once; return what is wrong, or nothing."""
        secret = None if endpoint.secret is None else self._secrets.resolve(endpoint.secret)
        headers = {"accept": "*/*", "user-agent": "headgate-probe", **credentials(endpoint, secret)}
        request = UpstreamRequest(
            Ask(endpoint.base_url.rstrip("/") + probe.path, headers, "GET"),
            b"",
            connect_timeout_seconds=probe.timeout_seconds,
            total_timeout_seconds=probe.timeout_seconds,
        )
        try:
            status = await self._status(request)
        except UpstreamFailed as failure:
            return failure.reason
        return "" if status == probe.expect_status else f"it answered {status}, not {probe.expect_status}"

    async def _status(self, request: UpstreamRequest) -> int:
        answer = await self._upstream.open(request)
        try:
            size = 0
            while size <= READ_BYTES and (chunk := await answer.next_chunk()):
                size += len(chunk)
        finally:
            answer.close()
        return answer.status

    def _is_due(self, key: str) -> bool:
        return self._due.get(key, 0.0) <= asyncio.get_running_loop().time()

    def _stop(self, endpoint: EndpointConfig) -> None:
        health = self._book.by_key.get(endpoint.key)
        if health is not None and health.probe is not None:
            health.probe = None

    async def _probe(self, endpoint: EndpointConfig, probe: ProbeSettings) -> None:
        try:
            self._note(self._book.of(endpoint), await self.ask(endpoint, probe))
        finally:
            self._due[endpoint.key] = asyncio.get_running_loop().time() + probe.interval_seconds

    def _note(self, health: EndpointHealth, problem: str) -> None:
        was = health.probe or ProbeResult(True, 0, "", 0.0)
        failures = was.failures + 1 if problem else 0
        healthy = not problem or (was.healthy and failures < FAILURES_TO_LEAVE)
        if was.healthy and not healthy:
            logger.warning("endpoint %s fails its probe and is left out: %s", health.key, problem)
        elif healthy and not was.healthy:
            logger.info("endpoint %s answers its probe again", health.key)
        health.probe = ProbeResult(healthy, failures, problem, self._clock())
