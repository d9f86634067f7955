"""Several gateways, one limit, twice as many requests: how much is admitted.

    make limits-bench ARGS="--gateways 3 --limit 6000 --seconds 60 --json"

Real gateway processes and a real Kafka. Requests come to each gateway at a fixed rate, whatever becomes of
the ones before. All of them lie within one minute, so `admitted` should be the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import uvloop

from benchmarks.gateway.contender import running, until_listening
from benchmarks.gateway.headgate import state_of
from benchmarks.gateway.load import Target
from benchmarks.gateway.workloads import NON_STREAMING
from benchmarks.shadow.load import Pool, Seen
from services.domain.configuration import (
    Config,
    CredentialConfig,
    EndpointConfig,
    InstallationConfig,
    RouteConfig,
    VariantConfig,
    config_key,
)
from services.domain.limits import Limits
from services.embedded.kafka import EmbeddedKafka
from services.embedded.ports import free_port
from services.embedded.processes import ManagedProcess
from services.messaging.codec import encode_event
from services.messaging.publisher import idempotent_producer
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames, create_topics

KEY = "hg-bench-client-key"
SECRET_VARIABLE = "BENCH_PROVIDER_SECRET"  # noqa: S105 - the name of one
ROUTE = "limited"
CONNECTIONS = 16
PARTITIONS = 8
_VERSION = (1, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """So many gateways, a limit in requests a minute, and how much is offered for how long."""

    gateways: int
    limit: int
    times: float
    seconds: float


class Inexact(Exception):
    """The gateways count something else than the callers saw."""


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _states(base_url: str, limit: int) -> list[Config]:
    return [
        InstallationConfig(version=_VERSION, installation_id=uuid4(), outcome_partitions=PARTITIONS),
        CredentialConfig(
            version=_VERSION, key_hash=sha256(KEY.encode()).hexdigest(), key_id="bench", label="benchmark"
        ),
        EndpointConfig(
            version=_VERSION,
            key="only",
            endpoint_kind="openai",
            base_url=base_url,
            secret=f"env:{SECRET_VARIABLE}",
        ),
        RouteConfig(
            version=_VERSION,
            key=ROUTE,
            stable="stable",
            variants={"stable": VariantConfig(key="stable", endpoint_keys=("only",), model="static")},
            allocation_version=1,
            limits=Limits(requests_per_minute=limit),
        ),
    ]


async def _publish(kafka: KafkaSettings, states: list[Config]) -> None:
    await create_topics(kafka, PARTITIONS)
    producer = idempotent_producer(kafka, client_id="bench-config")
    await producer.start()
    try:
        topic = TopicNames(kafka.topic_prefix).config
        for state in states:
            await producer.send_and_wait(topic, encode_event(state), key=config_key(state).encode())
    finally:
        await producer.stop()


def _process(name: str, place: Path, module: str, *arguments: str, **environment: str) -> ManagedProcess:
    return ManagedProcess(
        name,
        [sys.executable, "-m", module, *arguments],
        log_path=place / f"{name}.log",
        env={**os.environ, **environment},
    )


@asynccontextmanager
async def _staged(plan: Plan) -> AsyncIterator[list[int]]:
    """Run everything; yield the gateways' ports once they hear each other."""
    kafka = EmbeddedKafka(say=_say)
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as directory:
        place, upstream_port = Path(directory), free_port()
        try:
            await asyncio.to_thread(kafka.start)
            settings = KafkaSettings(kafka=kafka.bootstrap_servers)
            await _publish(settings, _states(f"http://127.0.0.1:{upstream_port}/answers/v1", plan.limit))
            async with AsyncExitStack() as held:
                upstream = _process("upstream", place, "benchmarks.shadow.upstream", str(upstream_port))
                await held.enter_async_context(running(upstream))
                await until_listening(upstream, upstream_port)
                yield [await _gateway(held, place, settings, number) for number in range(plan.gateways)]
        finally:
            await asyncio.to_thread(kafka.stop)


async def _gateway(held: AsyncExitStack, place: Path, kafka: KafkaSettings, number: int) -> int:
    port = free_port()
    gateway = _process(
        f"gateway-{number}",
        place,
        "services.cli.main",
        "gateway",
        HEADGATE_KAFKA=kafka.kafka,
        HEADGATE_GATEWAY_PORT=str(port),
        HEADGATE_GATEWAY_STATE_DIR=str(place / f"state-{number}"),
        **{SECRET_VARIABLE: "sk-static"},
    )
    await held.enter_async_context(running(gateway))
    await until_listening(gateway, port)
    return port


async def _all_heard(ports: list[int]) -> None:
    for port in ports:
        while (state := (await state_of(port))["checks"]["limits"])["gateways"] != len(ports) or not state[
            "shared"
        ]:
            await asyncio.sleep(0.05)


async def _offer(ports: list[int], plan: Plan) -> list[Seen]:
    rate = plan.times * plan.limit / 60 / len(ports)
    pools = [Pool() for _ in ports]
    for pool, port in zip(pools, ports, strict=True):
        await pool.open(port, CONNECTIONS)
    headers = (("authorization", f"Bearer {KEY}"),)
    asked = [
        Target(port, "/v1/chat/completions", (), headers).request(NON_STREAMING.body(ROUTE), 1)
        for port in ports
    ]
    runs = (pool.run(one, rate, plan.seconds) for pool, one in zip(pools, asked, strict=True))
    seen = await asyncio.gather(*runs)
    for pool in pools:
        pool.close()
    return list(seen)


async def _run(plan: Plan) -> dict[str, float]:
    async with _staged(plan) as ports:
        await _all_heard(ports)
        seen = await _offer(ports, plan)
        served = [int((await state_of(port))["requests"]["served"]) for port in ports]
    offered = sum(len(one.seconds) for one in seen)
    admitted = offered - sum(one.failed for one in seen)
    if sum(served) != admitted:
        raise Inexact(f"callers saw {admitted} answers, the gateways served {served}")
    return {
        "gateways": len(ports),
        "limit": plan.limit,
        "seconds": plan.seconds,
        "offered": offered,
        "admitted": admitted,
        "admitted_by_limit": round(admitted / plan.limit, 4),
        "most_at_one_gateway": max(served),
    }


def main() -> None:
    """Run and print the figures, with --json as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--limit", type=int, default=6_000, help="requests a minute")
    parser.add_argument("--times", type=float, default=2.0, help="how many times the limit is offered")
    parser.add_argument("--seconds", type=float, default=59.0, help="less than the window of 60")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = uvloop.run(_run(Plan(given.gateways, given.limit, given.times, given.seconds)))
    if given.json:
        print(json.dumps(found))
        return
    for name, figure in found.items():
        print(f"{name:<22}{figure:>10,}")


if __name__ == "__main__":
    main()
