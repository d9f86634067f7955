"""Mirroring: a shadow gets a copy of a request once the request's caller has the whole answer.

Nothing here is awaited by whoever serves callers: ``offer`` notes what is to be mirrored, or sheds it, and
returns. What happens then has bounds of its own: requests under way, requests waiting, bytes, time, and
dollars. Whatever is sampled ends up compared, failed, or shed for a reason that is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Never
from uuid import UUID

from services.domain.configuration import ShadowConfig
from services.domain.events import Comparison, Outcome, ShadowCoverage, Side
from services.domain.likeness import AnswerText, likeness
from services.domain.status import OutcomeStatus
from services.gateway.body import RequestBody
from services.gateway.config import ConfigStore
from services.gateway.exchange import Exchange
from services.gateway.failover import Failover, Job
from services.gateway.limits import SharedCount
from services.gateway.request_ids import upstream_line
from services.gateway.shadow_asking import Asked, NotAsked, ask
from services.gateway.shadow_copies import Copy, Room, ServedShadow
from services.gateway.shadow_limits import Slots, Spending
from services.gateway.shadow_sender import ComparisonSender

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often to look for room that other processes made, and to report what was counted."""
KEPT_CHARACTERS = 20_000
"""Of each text that is kept."""

_ANSWERED = frozenset({OutcomeStatus.OK, OutcomeStatus.CONTENT_FILTERED})
_NOT_MIRRORED = frozenset({OutcomeStatus.CALLER_GONE, OutcomeStatus.CALLER_GAVE_UP, OutcomeStatus.REJECTED})
"""Nobody knows the answer that the caller would have had, or there was no room for it."""


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A request whose caller has the answer."""

    exchange: Exchange
    copy: Copy
    outcome: Outcome


@dataclass(slots=True)
class Mirror:
    """One shadow in one phase, at this process."""

    config: ShadowConfig
    slots: Slots
    spending: Spending
    waiting: deque[Mirrored] = field(default_factory=deque)
    sampled: int = 0
    compared: int = 0
    failed: int = 0
    shed: Counter[str] = field(default_factory=Counter)
    told: bool = True
    """Whether the sender has the newest counts."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be done."""
        return not self.waiting and not self.slots.taken and self.told

    @property
    def coverage(self) -> ShadowCoverage:
        """What was counted since this process began."""
        return ShadowCoverage(
            experiment_id=self.config.experiment_id,
            phase=self.config.phase,
            sampled=self.sampled,
            compared=self.compared,
            failed=self.failed,
            shed=dict(self.shed),
            cost_nanos=self.spending.total_nanos,
        )


class Shadows:
    """Every shadow of this process. ``share`` gives a count's place among the gateway's processes."""

    def __init__(
        self,
        store: ConfigStore,
        failover: Failover,
        sender: ComparisonSender,
        *,
        limit_bytes: int,
        share: Callable[[str], SharedCount | None] = lambda _: None,
    ) -> None:
        self.by_phase: dict[tuple[UUID, int], Mirror] = {}
        self.room = Room(limit_bytes)
        self._store = store
        self._failover = failover
        self._sender = sender
        self._share = share
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def sample(self, shadow: ServedShadow, request_id: str, body: RequestBody, now: float) -> Copy | None:
        """Return where the answer of a request is to be kept; None where it is not mirrored."""
        if not shadow.samples(request_id, body, now):
            return None
        return Copy(self.room, len(body.document))

    def offer(self, exchange: Exchange, copy: Copy, outcome: Outcome) -> None:
        """Mirror a request whose caller has its answer, as soon as there is room, or shed it."""
        shadow = exchange.route.shadow
        if shadow is None or outcome.status in _NOT_MIRRORED:
            return
        mirror = self._mirror_of(shadow.config)
        mirror.sampled += 1
        mirror.told = False
        refused = copy.refused or self._refusal(mirror)
        if refused is not None:
            mirror.shed[refused] += 1
            return
        mirror.waiting.append(Mirrored(exchange, copy, outcome))
        self._go_on(mirror)

    async def run(self) -> Never:
        """Keep an eye on every shadow, for ever."""
        sending = asyncio.create_task(self._sender.run())
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                for mirror in list(self.by_phase.values()):
                    self._go_on(mirror)
                    self._tell(mirror)
                self._forget()
                if sending.done():
                    sending.result()
        finally:
            sending.cancel()

    async def stop(self, *, within_seconds: float) -> None:
        """Mirror nothing more, and send what is known, as far as the time allows."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for mirror in self.by_phase.values():
            mirror.shed["stopping"] += len(mirror.waiting)
            mirror.told = mirror.told and not mirror.waiting
            mirror.waiting.clear()
            self._tell(mirror)
        sending = asyncio.create_task(self._sender.run())
        try:
            async with asyncio.timeout(within_seconds):
                await self._sender.flush()
        except TimeoutError:
            logger.warning("stopping with comparisons that Kafka has not acknowledged")
        finally:
            sending.cancel()

    def _mirror_of(self, config: ShadowConfig) -> Mirror:
        key = config.experiment_id, config.phase
        mirror = self.by_phase.get(key)
        if mirror is None:
            name = f"shadow/{config.experiment_id}"
            slots, spending = Slots(self._share(f"{name}/slots")), Spending(self._share(f"{name}/spending"))
            mirror = self.by_phase[key] = Mirror(config, slots, spending)
        mirror.config = config
        return mirror

    def _refusal(self, mirror: Mirror) -> str | None:
        if self._stopping:
            return "stopping"
        if self._sender.full:
            return "kafka_full"
        room = mirror.slots.has_room(mirror.config.max_concurrency)
        if len(mirror.waiting) >= mirror.config.queue_limit + (1 if room else 0):
            return "queue_full"
        return None

    def _go_on(self, mirror: Mirror) -> None:
        """Begin what waits, as far as there is room."""
        config, now = mirror.config, asyncio.get_running_loop().time()
        while mirror.waiting and mirror.slots.has_room(config.max_concurrency) and not self._stopping:
            mirrored = mirror.waiting.popleft()
            mirror.told = False
            if not mirror.spending.allows(config.cost_limit_per_hour_nanos, mirror.slots.total, now):
                mirror.shed["cost_limit"] += 1
                continue
            mirror.slots.take()
            task = asyncio.get_running_loop().create_task(self._mirror(mirror, mirrored))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _mirror(self, mirror: Mirror, mirrored: Mirrored) -> None:
        try:
            comparison = await self._compare(mirror, mirrored)
        except NotAsked:
            mirror.shed["no_endpoint"] += 1
        except asyncio.CancelledError:
            mirror.shed["stopping"] += 1
            raise
        except Exception:
            # It must not end the gateway, which serves without it; and it is counted.
            told = {"request_id": mirrored.outcome.request_id, "experiment": mirror.config.key}
            logger.exception("a request could not be mirrored to shadow %s", mirror.config.key, extra=told)
            mirror.failed += 1
        else:
            self._sender.offer(comparison)
            if comparison.likeness is None:
                mirror.failed += 1
            else:
                mirror.compared += 1
        finally:
            mirror.told = False
            mirror.slots.free()
            self._go_on(mirror)

    async def _compare(self, mirror: Mirror, mirrored: Mirrored) -> Comparison:
        config, exchange = mirror.config, mirrored.exchange
        asked = await self._ask(config, exchange)
        mirror.spending.add(asked.side.cost_nanos, asyncio.get_running_loop().time())
        answered = mirrored.outcome.status in _ANSWERED
        text = await mirrored.copy.read() if answered and asked.text is not None else None
        return _comparison(config, mirrored.outcome, text, asked)

    async def _ask(self, config: ShadowConfig, exchange: Exchange) -> Asked:
        route = exchange.route
        variant = route.config.variants[config.variant]
        overrides, lines = route.overrides[config.variant], upstream_line(f"{exchange.request_id}-shadow")
        budget = self._failover.budget_of(route.key, config.variant)
        job = Job(route.key, variant, overrides, exchange.body, [], budget, lines)
        return await ask(self._failover, job, self._store.view.endpoints, seconds=config.timeout_seconds)

    def _tell(self, mirror: Mirror) -> None:
        if not mirror.told:
            mirror.told = True
            self._sender.cover(mirror.coverage)

    def _forget(self) -> None:
        if not self.by_phase:
            return
        shadows = (route.shadow for route in self._store.view.routes.values())
        served = {(one.config.experiment_id, one.config.phase) for one in shadows if one is not None}
        for key in [key for key, mirror in self.by_phase.items() if mirror.idle and key not in served]:
            del self.by_phase[key]


def _comparison(
    config: ShadowConfig, outcome: Outcome, production: AnswerText | None, asked: Asked
) -> Comparison:
    shadow, alike, texts = asked.text, None, None
    if production is not None and shadow is not None:
        alike = likeness(production, shadow, config.ignore_paths)
        if config.keep_text:
            texts = _kept(production), _kept(shadow)
    return Comparison(
        comparison_id=UUID(outcome.request_id),
        experiment_id=config.experiment_id,
        phase=config.phase,
        route_key=outcome.route_key,
        unit_hash=outcome.unit_hash,
        occurred_at_us=outcome.started_at_us,
        streamed=outcome.streamed,
        production=_production(outcome),
        shadow=asked.side,
        likeness=alike,
        texts=texts,
        text_days=config.text_days if texts else 0,
    )


def _production(outcome: Outcome) -> Side:
    return Side(
        outcome.variant_key,
        outcome.status,
        outcome.http_status,
        outcome.latency_us,
        outcome.first_token_us,
        outcome.prompt_tokens,
        outcome.completion_tokens,
        outcome.cost_nanos,
    )


def _kept(answer: AnswerText) -> str:
    calls = [f"{call.name}({call.arguments})" for call in answer.tool_calls]
    return "\n".join(part for part in (answer.text, *calls) if part)[:KEPT_CHARACTERS]
