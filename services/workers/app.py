"""Wires a worker together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Never

import uvloop

from services.domain.events import DeadLetter, Touched
from services.messaging.codec import encode_dead_letter
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames, check_topics
from services.storage.installation import Installation, read_installation
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings
from services.workers.agents import WorkerApp, build_app
from services.workers.buckets import Buckets
from services.workers.claiming import Claimer
from services.workers.comparisons import Comparisons
from services.workers.counting import Counter
from services.workers.doubt import end_process
from services.workers.endings import Endings
from services.workers.evaluation import Evaluator
from services.workers.gauges import Gauges
from services.workers.lease import Lessor
from services.workers.metrics import WorkerMetrics
from services.workers.notifier import Notifier
from services.workers.ownership import WorkerOwnership
from services.workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 2.0


def main(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    metrics: WorkerMetrics | None = None,
) -> None:
    """Run one worker in this process until SIGTERM or SIGINT."""
    for noisy in ("faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await serve(settings, kafka, database, stop, metrics)

    uvloop.run(run())


async def serve(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    stop: asyncio.Event,
    metrics: WorkerMetrics | None = None,
) -> None:
    """Run one worker until ``stop`` is set. It needs the process to itself: any doubt ends it."""
    metrics = metrics or WorkerMetrics()
    topics = TopicNames(kafka.topic_prefix)
    engine = create_engine(
        database,
        application_name="headgate-worker",
        idle_in_transaction_seconds=settings.stalled_transaction_seconds,
    )
    publisher = Publisher(kafka, client_id="headgate-worker")
    try:
        async with engine.connect() as connection:
            installation = await read_installation(connection)
        await check_topics(kafka, installation.outcome_partitions)

        async def bury(letter: DeadLetter) -> None:
            await publisher.deliver(topics.dead_letters, encode_dead_letter(letter))

        def notify(touched: Iterable[Touched]) -> None:
            # Who evaluates here need not hear of it through Kafka.
            notifier.notify([one for one in touched if not evaluator.touch(one)])

        ownership = _ownership(settings, topics, installation)
        notifier = Notifier(publisher, topics.touched)
        endings = Endings()
        claimer = Claimer(engine, kafka, topics.outcomes, settings.name, endings, metrics)
        buckets = Buckets(
            engine,
            topics.outcomes,
            installation.outcome_partitions,
            settings,
            endings=endings,
            notify=notify,
            metrics=metrics,
        )
        counter = Counter(
            engine,
            claimer,
            buckets,
            topics.outcomes,
            settings,
            caught_up=ownership.caught_up,
            notify=notify,
            bury=bury,
            metrics=metrics,
        )
        lessor = Lessor(publisher, topics.config)
        evaluator = Evaluator(engine, topics.outcomes, installation, settings, lessor, metrics)
        ownership.bind(claimer, counter, evaluator)
        metrics.registry.register(Gauges(metrics, ownership, counter, buckets, evaluator, lessor))
        app = build_app(settings, kafka, ownership, on_record=counter.count, on_touched=evaluator.touch)
        shadows = Comparisons(engine, kafka, publisher, metrics)
        duties = [counter.run(), buckets.run(), notifier.run(), evaluator.run()]
        await _run(app, [*duties, shadows.run(), shadows.forget_texts()], stop)
    finally:
        await publisher.stop()
        await engine.dispose()
    logger.info("worker %s has written everything and left", settings.name)


async def _run(app: WorkerApp, work: Sequence[Coroutine[Any, Any, Never]], stop: asyncio.Event) -> None:
    duties = [_duty(one) for one in work]
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        await starting
        logger.info("this worker is ready")
    await stopping
    await app.stop()
    for task in (starting, *duties):
        task.cancel()
    # What some of them close on their way out needs the loop.
    await asyncio.wait(duties, timeout=LEAVE_SECONDS)


def _ownership(settings: WorkerSettings, topics: TopicNames, installation: Installation) -> WorkerOwnership:
    return WorkerOwnership(
        topics,
        installation.outcome_partitions,
        claim_timeout_seconds=settings.claim_timeout_seconds,
    )


def _duty(work: Coroutine[Any, Any, Never]) -> asyncio.Task[Never]:
    """Run what must never end; a worker that lost one of its duties is no worker."""

    async def watched() -> Never:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
            end_process(f"a duty of this worker failed: {error!r}", error)
        raise AssertionError("a duty never ends by itself")

    return asyncio.create_task(watched())
