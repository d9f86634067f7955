"""Which signals OpenTelemetry's variables ask for."""

from __future__ import annotations

import pytest

from services.gateway.telemetry.choosing import chosen

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "signals"),
    [
        ({}, set()),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, set()),
        (ENDPOINT, {"traces", "metrics"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector"}, {"traces"}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {"traces"}),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": "none"}, {"traces"}),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": " none ", "OTEL_METRICS_EXPORTER": "otlp"}, {"metrics"}),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}, set()),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, {"traces", "metrics"}),
    ],
)
def test_what_is_exported(environment: dict[str, str], signals: set[str]) -> None:
    assert chosen(environment) == (signals, ())


@pytest.mark.parametrize(
    ("environment", "signals", "named"),
    [
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp,console"}, {"metrics"}, "OTEL_TRACES_EXPORTER"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, {"traces"}, "METRICS_PROTOCOL is grpc"),
    ],
)
def test_what_cannot_be_followed_is_said(environment: dict[str, str], signals: set[str], named: str) -> None:
    found = chosen(environment)
    assert found.signals == signals
    (problem,) = found.problems
    assert named in problem


def test_a_protocol_that_is_not_there_costs_both() -> None:
    found = chosen(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert (found.signals, len(found.problems)) == (frozenset(), 2)
