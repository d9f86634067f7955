"""Peers behind a flag: their installation is large and they cost far more."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.gateway.contender import Contender, Surroundings, running, until_listening
from benchmarks.gateway.environments import node_environment, python_environment
from benchmarks.gateway.load import Target
from services.embedded.ports import LOOPBACK, free_port
from services.embedded.processes import ManagedProcess

LITELLM = "1.104.0"
PORTKEY = "1.15.2"
HONO_NODE_SERVER = "1.8.2"
"""Its web server. With releases from 1.13 on, Portkey answers 500 to every streamed request."""

_LITELLM_ENVIRONMENT = {
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it need not authenticate anybody
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # instead of fetching it
    "LITELLM_LOG": "ERROR",
}


@asynccontextmanager
async def litellm(given: Surroundings) -> AsyncIterator[Contender]:
    """LiteLLM's proxy with one worker, without a database."""
    environment = await asyncio.to_thread(python_environment, f"litellm[proxy]=={LITELLM}", given.say)
    port = free_port()
    model = {"model": "openai/static", "api_base": given.base_url, "api_key": "sk-static"}
    config = given.place / "litellm.json"  # JSON is YAML
    config.write_text(json.dumps({"model_list": [{"model_name": "static", "litellm_params": model}]}))
    options = ["--host", LOOPBACK, "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    process = ManagedProcess(
        "LiteLLM",
        [str(environment / "bin" / "litellm"), "--config", str(config), *options],
        log_path=given.place / "litellm.log",
        env={**os.environ, **_LITELLM_ENVIRONMENT},
    )
    async with running(process):
        await until_listening(process, port)
        yield Contender("litellm", LITELLM, process.pid, Target(port, "/v1/chat/completions", ("static",)))


@asynccontextmanager
async def portkey(given: Surroundings) -> AsyncIterator[Contender]:
    """Portkey's gateway on Node.js; the upstream is named by the request's headers."""
    packages = [f"@portkey-ai/gateway@{PORTKEY}", f"@hono/node-server@{HONO_NODE_SERVER}"]
    environment = await asyncio.to_thread(node_environment, packages, given.say)
    port = free_port()
    server = environment / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    process = ManagedProcess(
        "Portkey",
        ["node", str(server), f"--port={port}", "--headless"],
        log_path=given.place / "portkey.log",
        env={**os.environ, "TRUSTED_CUSTOM_HOSTS": LOOPBACK},
    )
    headers = (
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", given.base_url),
        ("authorization", "Bearer sk-static"),
    )
    async with running(process):
        await until_listening(process, port)
        target = Target(port, "/v1/chat/completions", ("static",), headers)
        yield Contender("portkey", PORTKEY, process.pid, target)
