"""A simulated LLM provider: OpenAI's and Azure OpenAI's chat completions, with latency and faults on request.

POST /v1/chat/completions                                  as OpenAI
POST /openai/deployments/{model}/chat/completions          as Azure OpenAI
PUT  /control/{model}      {"error_rate": 0.3, …}          change a model while it runs
GET  /control/stats                                        what each model has done
POST /control/reset                                        forget everything
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from services.demo.provider_answers import REFUSALS, Completion, error
from services.demo.provider_behaviour import Behaviour, Fault
from services.demo.provider_models import Model, Models
from services.demo.provider_settings import ProviderSettings
from services.gateway.asgi import JSON, Receive, Scope, Send, read_body, send_json, send_whole
from services.gateway.server import TRANSPORT, address_of, listen, serve_until

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_AZURE = "/openai/deployments/"
_CHAT = "/chat/completions"


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct):
    model: str = ""
    messages: msgspec.Raw = msgspec.Raw()
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    metadata: dict[str, Any] | None = None

    @property
    def wanted_fault(self) -> str | None:
        return None if self.metadata is None else self.metadata.get("sim_fault")


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_behaviour = msgspec.json.Decoder(Behaviour).decode


class Provider:
    """The ASGI application."""

    def __init__(self, seed: int) -> None:
        self._models = Models(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        body = await read_body(receive, None, MAX_BODY_BYTES)
        if method == "POST" and path.endswith(_CHAT):
            await self._chat(scope, body, receive, send)
        elif path.startswith("/control/"):
            await self._control(method, path.removeprefix("/control/"), body, send)
        elif path == "/healthz":
            await send_json(send, 200, {"status": "alive"})
        else:
            await send_whole(send, 404, [JSON], error(404, "unknown_url", f"Unknown URL {path}."))

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
                    await send_whole(send, 400, [JSON], error(400, "invalid_value", str(problem)))
                else:
                    await send_json(send, 200, model.behaviour)
            case _:
                await send_whole(send, 404, [JSON], error(404, "unknown_url", "No such control."))

    async def _chat(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        try:
            request = _decode_request(body)
            model = self._models.named(_deployment(scope["path"]) or request.model)
            wanted = dict(scope["headers"]).get(b"x-sim-fault", b"").decode() or request.wanted_fault
            fault = None if wanted is None else Fault(wanted)
        except (msgspec.DecodeError, ValueError) as problem:
            await send_whole(send, 400, [JSON], error(400, "invalid_value", str(problem)))
            return
        fate = model.meet(fault)
        if fate.latency_seconds:
            await asyncio.sleep(fate.latency_seconds)
        await _Reply(scope, receive, send, model, request).give(fate.fault)


def _deployment(path: str) -> str | None:
    return path[len(_AZURE) : -len(_CHAT)] if path.startswith(_AZURE) else None


class _Reply:
    """The answer to one request, good or bad."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, model: Model, request: _Request) -> None:
        self._transport = scope[TRANSPORT]
        self._receive = receive
        self._send = send
        self._model = model
        self._request = request

    async def give(self, fault: Fault | None) -> None:
        """Answer, or fail, as fate has it."""
        if fault in REFUSALS:
            await self._refuse(*REFUSALS[fault])
        elif fault is Fault.ERROR:
            status = self._model.behaviour.error_status
            await self._refuse(status, "server_error", "The server had an error (simulated).")
        elif fault is Fault.HANG:
            await self._until_caller_leaves()
        elif fault is Fault.REFUSE:
            await self._hang_up()
        elif fault is Fault.GARBAGE:
            self._transport.write(b"\x16\x03garbage, not HTTP\r\n\r\n")
            await self._hang_up(politely=True)
        elif self._request.stream:
            await self._stream(fault)
        else:
            await self._whole(fault)

    def _completion(self, fault: Fault | None) -> Completion:
        filtered = fault is Fault.CONTENT_FILTER
        prompt_bytes = len(bytes(self._request.messages))
        return Completion(self._model.name, self._model.behaviour.tokens, prompt_bytes, filtered=filtered)

    async def _refuse(self, status: int, code: str, message: str) -> None:
        headers = [JSON, (b"x-request-id", b"sim-refused")]
        if status == 429:
            headers.append((b"retry-after", b"1"))
        await send_whole(self._send, status, headers, error(status, code, message))

    async def _whole(self, fault: Fault | None) -> None:
        body = self._completion(fault).whole()
        if fault not in (Fault.BROKEN, Fault.BROKEN_EARLY, Fault.STALL):
            await send_whole(self._send, 200, [JSON, (b"x-request-id", b"sim")], body)
            return
        headers = [JSON, (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if fault is not Fault.BROKEN_EARLY:
            await self._send(
                {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
            )
        await self._break_off(fault)

    async def _stream(self, fault: Fault | None) -> None:
        options = self._request.stream_options
        with_usage = options is not None and options.include_usage
        events = self._completion(fault).events(with_usage=with_usage)
        breaks = fault in (Fault.BROKEN, Fault.STALL)
        if breaks:
            events = events[: max(1, len(events) // 2)]
        headers = [_EVENTS, (b"x-request-id", b"sim")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if fault is Fault.BROKEN_EARLY:
            await self._hang_up(politely=True)
            return
        await self._send_events(events)
        if breaks:
            await self._break_off(fault)
        else:
            await self._send({"type": "http.response.body", "body": b""})

    async def _send_events(self, events: list[bytes]) -> None:
        pause = self._model.behaviour.token_ms / 1000
        for event in events:
            await self._send({"type": "http.response.body", "body": event, "more_body": True})
            if pause:
                await asyncio.sleep(pause)

    async def _break_off(self, fault: Fault | None) -> None:
        if fault is Fault.STALL:
            await self._until_caller_leaves()
        else:
            await self._hang_up(politely=True)

    async def _hang_up(self, *, politely: bool = False) -> None:
        """End the connection; politely: after what was written has gone out."""
        if politely:
            self._transport.close()
        else:
            self._transport.abort()
        await self._until_caller_leaves()

    async def _until_caller_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


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
