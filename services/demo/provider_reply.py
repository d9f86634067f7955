"""How the simulated provider answers one request, good or bad."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from services.demo.asgi import JSON, Headers, Receive, Send, send_whole
from services.demo.provider_answers import REFUSALS, Answer, error, server_error
from services.demo.provider_behaviour import Behaviour, Fault

_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_ID = (b"x-request-id", b"sim")
_RETRY_AFTER_SECONDS = b"1"


@dataclass(frozen=True, slots=True)
class Connection:
    """What a reply is written to."""

    transport: Any
    receive: Receive
    send: Send

    async def until_caller_leaves(self) -> None:
        """Say nothing more."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def hang_up(self, *, politely: bool = False) -> None:
        """End the connection; politely: after what was written has gone out."""
        if politely:
            self.transport.close()
        else:
            self.transport.abort()
        await self.until_caller_leaves()

    async def begin(self, headers: Headers) -> None:
        """Send the head of a good answer."""
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, part: bytes, *, last: bool = False) -> None:
        """Send a part of a body."""
        await self.send({"type": "http.response.body", "body": part, "more_body": not last})


async def refuse(send: Send, status: int, body: bytes) -> None:
    """Answer with an error."""
    headers = [JSON, (b"x-request-id", b"sim-refused")]
    if status in (429, 503):
        headers.append((b"retry-after", _RETRY_AFTER_SECONDS))
    await send_whole(send, status, headers, body)


class Reply:
    """The reply to one request whose good answer is known."""

    def __init__(
        self, connection: Connection, behaviour: Behaviour, answer: Answer, *, streams: bool
    ) -> None:
        self._connection = connection
        self._behaviour = behaviour
        self._answer = answer
        self._streams = streams

    async def give(self, fault: Fault | None) -> None:
        """Answer, or fail, as fate has it."""
        connection = self._connection
        if fault in REFUSALS:
            status, code, message = REFUSALS[fault]
            await refuse(connection.send, status, error(status, code, message))
        elif fault is Fault.ERROR:
            await refuse(connection.send, self._behaviour.error_status, server_error())
        elif fault is Fault.HANG:
            await connection.until_caller_leaves()
        elif fault is Fault.REFUSE:
            await connection.hang_up()
        elif fault is Fault.GARBAGE:
            connection.transport.write(b"\x16\x03garbage, not HTTP\r\n\r\n")
            await connection.hang_up(politely=True)
        elif fault is Fault.WRONG_LENGTH:
            await self._with_wrong_length()
        elif self._streams:
            await self._stream(fault)
        else:
            await self._whole(fault)

    async def _with_wrong_length(self) -> None:
        # Around the server, which would not let it pass.
        body = b"".join(self._answer.events()) if self._streams else self._answer.whole()
        kind = _EVENTS if self._streams else JSON
        head = b"HTTP/1.1 200 OK\r\n%s: %s\r\ncontent-length: %d\r\n\r\n" % (*kind, len(body) // 2)
        self._connection.transport.write(head + body)
        await self._connection.hang_up(politely=True)

    async def _whole(self, fault: Fault | None) -> None:
        body = self._answer.failed() if fault is Fault.ERROR_INSIDE else self._answer.whole()
        if fault is Fault.TRUNCATED:
            body = body[: len(body) // 2]
        length = (b"content-length", b"%d" % len(body))
        await self._connection.begin([JSON, _ID, length])
        if fault is Fault.SLOW:
            await asyncio.sleep(self._behaviour.slow_ms / 1000)
        if fault in (Fault.BROKEN, Fault.STALL):
            await self._connection.write(body[: len(body) // 2])
        if fault in (Fault.BROKEN, Fault.STALL, Fault.BROKEN_EARLY):
            await self._break_off(fault)
        else:
            await self._connection.write(body, last=True)

    async def _stream(self, fault: Fault | None) -> None:
        events = self._answer.events()
        if fault in (Fault.BROKEN, Fault.STALL, Fault.TRUNCATED, Fault.ERROR_INSIDE):
            events = events[: max(1, len(events) // 2)]
        if fault is Fault.ERROR_INSIDE:
            events.append(self._answer.failed_event())
        await self._connection.begin([_EVENTS, _ID])
        if fault is Fault.SLOW:
            await asyncio.sleep(self._behaviour.slow_ms / 1000)
        if fault is not Fault.BROKEN_EARLY:
            await self._send_events(events)
        if fault in (Fault.BROKEN, Fault.STALL, Fault.BROKEN_EARLY):
            await self._break_off(fault)
        else:
            await self._connection.write(b"", last=True)

    async def _send_events(self, events: list[bytes]) -> None:
        pause = self._behaviour.token_ms / 1000
        for event in events:
            await self._connection.write(event)
            if pause:
                await asyncio.sleep(pause)

    async def _break_off(self, fault: Fault | None) -> None:
        if fault is Fault.STALL:
            await self._connection.until_caller_leaves()
        else:
            await self._connection.hang_up(politely=True)
