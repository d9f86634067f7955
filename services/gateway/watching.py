"""What a request shows of itself to those who trace and log it, where somebody does.

Requests are served without any of this unless it is configured: then ``Serving`` is given a ``Watch``, and
each request carries the ``Trace`` that it began. Whoever implements one must neither wait nor raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from services.domain.configuration import EndpointConfig
from services.domain.events import Outcome
from services.gateway.inbound.turn import Turn
from services.gateway.surfaces import Call

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange


class Trace(Protocol):
    """One request, followed from its first byte. It ends by exactly one of ``ended`` and ``refused``."""

    def admitted(self, exchange: Exchange) -> None:
        """It is known where it goes; nobody has been asked yet."""

    def asks(self, endpoint: EndpointConfig) -> bytes:
        """An endpoint is about to be asked. Returns what is added to the head, as whole lines."""

    def answered(self, first: bytes) -> None:
        """There is an answer: all of it, or the first piece of a stream."""

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """It is over, and its caller has all of the answer."""

    def refused(self, http_status: int, code: str) -> None:
        """It was refused, or its caller hung up, before it was known where it goes."""


Watch = Callable[[Turn, Call, str], Trace]
"""Begins to follow a request: what it came as, what its path asks for, and its id."""


class _Traces:
    """Several that follow one request."""

    __slots__ = ("_traces",)

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._traces = traces

    def admitted(self, exchange: Exchange) -> None:
        for trace in self._traces:
            trace.admitted(exchange)

    def asks(self, endpoint: EndpointConfig) -> bytes:
        return b"".join([trace.asks(endpoint) for trace in self._traces])

    def answered(self, first: bytes) -> None:
        for trace in self._traces:
            trace.answered(first)

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        for trace in self._traces:
            trace.ended(exchange, outcome)

    def refused(self, http_status: int, code: str) -> None:
        for trace in self._traces:
            trace.refused(http_status, code)


def together(watches: Sequence[Watch]) -> Watch | None:
    """Return one watch for all of them; None where there is none."""
    if len(watches) < 2:
        return watches[0] if watches else None
    return lambda turn, call, request_id: _Traces([watch(turn, call, request_id) for watch in watches])
