"""A simulated LLM provider: OpenAI's and Azure OpenAI's surfaces, with latency and faults on request.

POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings       as OpenAI
POST /openai/deployments/{model}/…, /openai/responses, /openai/v1/…             as Azure OpenAI
GET  /v1/models                                                                 what each of them has
PUT  /control/{model}      {"error_rate": 0.3, …}          change a model while it runs
GET  /control/stats                                        what each model has done
POST /control/reset                                        forget everything
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from services.demo.asgi import Receive, Scope, Send, read_body, send_json
from services.demo.asgi_server import TRANSPORT, serve_until
from services.demo.provider_answers import Answer, error
from services.demo.provider_behaviour import Behaviour, Fault
from services.demo.provider_completions import ChatCompletion, TextCompletion
from services.demo.provider_embeddings import Embeddings
from services.demo.provider_models import Model, Models
from services.demo.provider_reply import Connection, Reply, refuse
from services.demo.provider_requests import ProviderRequest, decode_request
from services.demo.provider_responses import ResponseAnswer
from services.demo.provider_settings import ProviderSettings
from services.demo.provider_speech import speak
from services.gateway.server import address_of, listen
from services.gateway.surfaces import COMPLETIONS, EMBEDDINGS, RESPONSES, Call, called_by, model_asked_for

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024

_decode_behaviour = msgspec.json.Decoder(Behaviour).decode


class Provider:
    """The ASGI application."""

    def __init__(self, seed: int) -> None:
        self._models = Models(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        body = await read_body(receive, None, MAX_BODY_BYTES)
        call = called_by(path)
        if call is not None and method == "POST":
            await self._answer(call, scope, body, receive, send)
        elif path.startswith("/control/"):
            await self._control(method, path.removeprefix("/control/"), body, send)
        elif path == "/healthz":
            await send_json(send, 200, {"status": "alive"})
        elif model_asked_for(path) == "":
            await send_json(send, 200, {"object": "list", "data": []})
        else:
            await refuse(send, 404, error(404, "unknown_url", f"Unknown URL {path}."))

    async def _control(self, method: str, name: str, body: bytes, send: Send) -> None:
        match method, name:
            case "GET", "stats":
                await send_json(send, 200, self._models.stats())
            case "POST", "reset":
                self._models.reset()
                await send_json(send, 200, {})
            case "PUT", _:
                try:
                    model = self._models.named(name)
                    model.behaviour = _decode_behaviour(body)
                except (msgspec.DecodeError, ValueError) as problem:
                    await refuse(send, 400, error(400, "invalid_value", str(problem)))
                else:
                    await send_json(send, 200, model.behaviour)
            case _:
                await refuse(send, 404, error(404, "unknown_url", "No such control."))

    async def _answer(self, call: Call, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        try:
            request = decode_request(body)
            model = self._models.named(call.deployment or request.model)
            fault = request.wanted_fault(dict(scope["headers"]).get(b"x-sim-fault"))
        except (msgspec.DecodeError, ValueError) as problem:
            await refuse(send, 400, error(400, "invalid_value", str(problem)))
            return
        fate = model.meet(fault)
        if fate.latency_seconds:
            await asyncio.sleep(fate.latency_seconds)
        answer = _answer_of(call, request, model, filtered=fate.fault is Fault.CONTENT_FILTER)
        connection = Connection(scope[TRANSPORT], receive, send)
        streams = request.stream is True and call.surface.streams
        await Reply(connection, model.behaviour, answer, streams=streams).give(fate.fault)


def _answer_of(call: Call, request: ProviderRequest, model: Model, *, filtered: bool) -> Answer:
    if call.surface is EMBEDDINGS:
        return Embeddings(model.name, request)
    speech = speak(request, model.behaviour, filtered=filtered)
    if call.surface is RESPONSES:
        return ResponseAnswer(model.name, speech, request)
    completion = TextCompletion if call.surface is COMPLETIONS else ChatCompletion
    return completion(
        model.name,
        speech,
        with_usage=request.wants_usage,
        # Azure says first what its filter made of the prompt.
        filter_results=call.deployment is not None,
    )


async def serve(
    settings: ProviderSettings,
    stop: asyncio.Event,
    *,
    on_listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until ``stop``. ``on_listening`` is told the address."""
    bound = listen(settings.host, settings.port)
    logger.info("simulated provider listens on %s", address_of(bound))
    on_listening(address_of(bound))
    await serve_until(Provider(settings.seed), bound, stop, grace_seconds=1.0)
