"""One span for each request, and one below it for each attempt at an endpoint.

Spans begin when what they tell of begins, since endpoints are told their ids; all else is set at the end,
when the caller has the answer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import time_ns

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.domain.configuration import EndpointConfig
from services.domain.events import Attempt, Outcome
from services.gateway.exchange import Exchange
from services.gateway.inbound.turn import Turn
from services.gateway.recording import Recording
from services.gateway.surfaces import Call
from services.gateway.telemetry.answered import read
from services.gateway.telemetry.content import input_attributes, output_attributes
from services.gateway.telemetry.conventions import (
    Attributes,
    attempt_attributes,
    endpoint_attributes,
    model_asked_for,
    operation_of,
    parameter_attributes,
    usage_attributes,
)
from services.gateway.telemetry.meters import Meters
from services.gateway.telemetry.requests import request_attributes

logger = logging.getLogger(__name__)

_propagator = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class _Asked:
    endpoint: EndpointConfig
    span: Span
    started_ns: int


class RequestTrace:
    """Follows one request. Without ``meters`` nothing is measured."""

    __slots__ = ("_asked", "_call", "_first", "_meters", "_span", "_tracer")

    def __init__(
        self, tracer: Tracer, meters: Meters | None, turn: Turn, call: Call, request_id: str
    ) -> None:
        self._tracer = tracer
        self._meters = meters
        self._call = call
        self._asked: list[_Asked] = []
        self._first = b""
        carrier = {
            name: value.decode("latin-1")
            for name in ("traceparent", "tracestate")
            if (value := turn.headers.get(name.encode())) is not None
        }
        operation = operation_of(call.surface)
        self._span = tracer.start_span(
            operation,
            context=_propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "headgate.request_id": request_id,
                "http.request.method": "POST",
                "url.path": turn.path,
            },
        )

    def admitted(self, exchange: Exchange) -> None:
        """Take note of it; the answer is kept where the route has opted in."""
        if exchange.route.config.record_content and self._span.is_recording():
            exchange.recording = Recording()

    def asks(self, endpoint: EndpointConfig) -> bytes:
        """Begin the span of an attempt; return the line that continues the trace at the provider."""
        now = time_ns()
        span = self._tracer.start_span(
            operation_of(self._call.surface),
            context=set_span_in_context(self._span),
            kind=SpanKind.CLIENT,
            start_time=now,
        )
        self._asked.append(_Asked(endpoint, span, now))
        context = span.get_span_context()
        return b"traceparent: 00-%032x-%016x-%02x\r\n" % (
            context.trace_id,
            context.span_id,
            context.trace_flags,
        )

    def answered(self, first: bytes) -> None:
        """Keep what an answer begins with."""
        self._first = first

    def refused(self, http_status: int, code: str) -> None:
        """End the span of a request that went nowhere."""
        if http_status:
            self._span.set_attribute("http.response.status_code", http_status)
        self._span.set_attribute("error.type", code)
        if http_status >= 500:
            self._span.set_status(Status(StatusCode.ERROR, code))
        self._span.end()

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Measure it, and end its spans."""
        try:
            if self._meters is not None:
                self._meters.record(exchange, [one.endpoint for one in self._asked], outcome)
            if self._span.is_recording():
                self._end(exchange, outcome)
        except Exception:
            # Its caller has been served, and must be able to ask again on the same connection.
            told = {"request_id": outcome.request_id, "route": outcome.route_key}
            logger.exception("the trace of a request is lost", extra=told)

    def _end(self, exchange: Exchange, outcome: Outcome) -> None:
        for asked, attempt in zip(self._asked, outcome.attempts, strict=False):
            self._end_attempt(asked, attempt, exchange, outcome)
        attributes = request_attributes(exchange, outcome)
        self._span.update_name(f"{operation_of(self._call.surface)} {outcome.route_key}")
        self._span.set_attributes(attributes)
        if outcome.http_status >= 500 or (outcome.http_status < 400 and "error.type" in attributes):
            self._span.set_status(Status(StatusCode.ERROR, str(attributes["error.type"])))
        self._span.end()

    def _end_attempt(self, asked: _Asked, attempt: Attempt, exchange: Exchange, outcome: Outcome) -> None:
        endpoint, span = asked.endpoint, asked.span
        model = model_asked_for(exchange, endpoint)
        span.update_name(f"{operation_of(self._call.surface)} {model}")
        attributes = attempt_attributes(attempt) | parameter_attributes(exchange)
        span.set_attributes(endpoint_attributes(self._call.surface, endpoint, model))
        span.set_attributes(attributes)
        if exchange.endpoint is not None and exchange.endpoint.key == endpoint.key:
            span.set_attributes(self._answer(exchange, outcome))
        if "error.type" in attributes:
            span.set_status(Status(StatusCode.ERROR, str(attributes["error.type"])))
        span.end(asked.started_ns + attempt.duration_us * 1000)

    def _answer(self, exchange: Exchange, outcome: Outcome) -> Attributes:
        said = read(self._first)
        attributes = usage_attributes(outcome)
        if isinstance(said.id, str):
            attributes["gen_ai.response.id"] = said.id
        if isinstance(said.model, str):
            attributes["gen_ai.response.model"] = said.model
        if said.finish_reasons:
            attributes["gen_ai.response.finish_reasons"] = said.finish_reasons
        if exchange.recording is not None:
            attributes |= input_attributes(exchange.body)
            answer = exchange.recording.read()
            if answer is not None:
                attributes |= output_attributes(answer, said.finish_reasons)
        return attributes
