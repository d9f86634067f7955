"""Runs health checks: real requests through a gateway, with the header that names the variant.

A gateway learns of a deployment through Kafka, a moment after it was made. What a gateway answers that does
not know it yet says nothing about the variant: such requests are sent again, within bounds.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import msgspec

from services.api.health_answers import read_stream, storable, text_of
from services.api.settings import ApiSettings
from services.domain.errors import Conflict
from services.domain.health_check import CheckResult, HealthCheck, Seen, judge_attempt

LEARNING_SECONDS = 15.0
"""For so long a gateway may not know of the deployment, or of the key."""
ASK_AGAIN_SECONDS = 0.05
GRACE_SECONDS = 1.0
"""How much longer than allowed an answer is waited for, to say that it came late."""
MAX_RUNS = 4
"""At a time: each keeps a connection to the database waiting."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_NOT_LEARNT_YET = frozenset({401, 403, 404, 503})
"""How a gateway refuses what it may accept once it has read the newest configuration."""


class HealthChecker:
    """Sends the requests of health checks to a gateway."""

    def __init__(self, settings: ApiSettings) -> None:
        self._url = settings.api_gateway_url.rstrip("/")
        self._reference = settings.api_gateway_key.get_secret_value()
        self._under_way = 0

    def check_ready(self) -> None:
        """Raise Conflict where checks cannot be run: nobody said through which gateway, or many are."""
        if not self._url or not self._reference:
            raise Conflict(
                "health checks need a gateway to send their requests to: set HEADGATE_API_GATEWAY_URL to its "
                "address and HEADGATE_API_GATEWAY_KEY to a key with the scope 'force_variant' where the "
                "control plane runs, and start it again"
            )
        _key(self._reference)
        if self._under_way >= MAX_RUNS:
            raise Conflict(f"{self._under_way} slots are being checked already; try again in a moment")

    async def run(
        self,
        checks: tuple[HealthCheck, ...],
        *,
        route: str,
        variant: str,
        allocation_version: int,
        within_seconds: float,
    ) -> tuple[CheckResult, ...]:
        """Ask ``variant`` of ``route`` and judge its answers; all together within ``within_seconds``.

        Only gateways that have read ``allocation_version`` or a later one are judged by.
        """
        self.check_ready()
        self._under_way += 1
        try:
            asking = _Asking(self._url, route, variant, allocation_version, within_seconds)
            return await asking.all(checks, _key(self._reference))
        finally:
            self._under_way -= 1


def _key(reference: str) -> str:
    """Return the key itself: what was given, or what is in the file that ``file:`` names."""
    if not reference.startswith("file:"):
        return reference
    path = Path(reference.removeprefix("file:"))
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Conflict(
            f"the key for health checks cannot be read: {error}; HEADGATE_API_GATEWAY_KEY names its file"
        ) from None


class _Asking:
    """One run: its session and its time."""

    def __init__(
        self, url: str, route: str, variant: str, allocation_version: int, within_seconds: float
    ) -> None:
        self._url = url
        self._route = route
        self._variant = variant
        self._allocation_version = allocation_version
        self._within_seconds = within_seconds
        started = time.monotonic()
        self._ends = started + within_seconds
        self._learnt_by = started + min(LEARNING_SECONDS, within_seconds / 2)

    async def all(self, checks: tuple[HealthCheck, ...], key: str) -> tuple[CheckResult, ...]:
        """Run the checks side by side."""
        headers = {
            "Authorization": f"Bearer {key}",
            "x-headgate-force-variant": self._variant,
            "x-headgate-unit": "health-check",
        }
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            return tuple(await asyncio.gather(*(self._check(session, check) for check in checks)))

    async def _check(self, session: aiohttp.ClientSession, check: HealthCheck) -> CheckResult:
        """Send a check's requests, one after the other."""
        attempts = []
        for _ in range(check.attempts):
            seen = await self._attempt(session, check)
            attempts.append(judge_attempt(check, seen, variant=self._variant))
        return CheckResult(name=check.name, attempts=tuple(attempts))

    async def _attempt(self, session: aiohttp.ClientSession, check: HealthCheck) -> Seen:
        while True:
            seen, allocation = await self._ask(session, check)
            if self._is_about_the_variant(seen, allocation):
                return seen
            if time.monotonic() >= self._learnt_by:
                return (
                    seen
                    if allocation is None
                    else msgspec.structs.replace(
                        seen,
                        failure=f"one of a gateway that still serves allocation {allocation}, not "
                        f"{self._allocation_version}; is the routing service running?",
                    )
                )
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    def _is_about_the_variant(self, seen: Seen, allocation: int | None) -> bool:
        if allocation is not None:
            return allocation >= self._allocation_version
        # The gateway's own refusal, or no answer. What takes its time has been taken by somebody.
        if seen.status is None:
            return seen.latency_seconds > GRACE_SECONDS
        return seen.status not in _NOT_LEARNT_YET

    async def _ask(self, session: aiohttp.ClientSession, check: HealthCheck) -> tuple[Seen, int | None]:
        started = time.monotonic()
        left = self._ends - started
        allowed = min(check.max_latency_seconds + GRACE_SECONDS, left)
        if left <= 0:
            failure = f"no time left: all checks together have {self._within_seconds:g} s"
            return Seen(status=None, latency_seconds=GRACE_SECONDS + 1, failure=failure), None
        try:
            async with asyncio.timeout(allowed):
                return await self._answered(session, check, started)
        except TimeoutError:
            seconds = time.monotonic() - started
            failure = f"no whole answer within {seconds:.1f} s"
        except aiohttp.ClientError as error:
            seconds = time.monotonic() - started
            failure = f"no answer of the gateway at {self._url}: {error}"
        return Seen(status=None, latency_seconds=seconds, failure=failure), None

    async def _answered(
        self, session: aiohttp.ClientSession, check: HealthCheck, started: float
    ) -> tuple[Seen, int | None]:
        url = f"{self._url}/v1/{check.surface}"
        async with session.post(url, json={**check.body, "model": self._route}) as response:
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    break
            seconds = time.monotonic() - started
            allocation = response.headers.get("x-headgate-allocation")
            seen = _seen(response, bytes(body), seconds)
            return seen, None if allocation is None else int(allocation)


def _seen(response: aiohttp.ClientResponse, body: bytes, seconds: float) -> Seen:
    text, document, failure = "", None, None
    if len(body) > MAX_ANSWER_BYTES:
        failure = f"an answer of more than {MAX_ANSWER_BYTES:,} bytes"
    elif response.content_type == "text/event-stream":
        text, failure = read_stream(body)
    else:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            failure = "an answer that is no JSON"
        text = text_of(document)
    return Seen(
        status=response.status,
        latency_seconds=seconds,
        variant=response.headers.get("x-headgate-variant"),
        text=storable(text),
        document=document,
        request_id=response.headers.get("x-headgate-request-id"),
        failure=None if failure is None else storable(failure),
    )
