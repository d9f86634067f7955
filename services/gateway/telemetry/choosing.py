"""Which signals the environment asks for, in OpenTelemetry's own variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Signal = Literal["traces", "metrics"]
SIGNALS: tuple[Signal, ...] = ("traces", "metrics")
PROTOCOL = "http/protobuf"


class Chosen(NamedTuple):
    """The signals to export, and what of the environment could not be followed."""

    signals: frozenset[Signal]
    problems: tuple[str, ...] = ()


def chosen(environment: Mapping[str, str]) -> Chosen:
    """Return what to export.

    A signal is exported where its exporter is ``otlp``, or where none is named but an endpoint is; logs are
    not exported. A variable that is empty counts as unset, as the specification has it.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Chosen(frozenset())
    signals: set[Signal] = set()
    problems: list[str] = []
    for signal in SIGNALS:
        problem = _problem(signal, environment)
        if not _wanted(signal, environment):
            continue
        if problem is None:
            signals.add(signal)
        else:
            problems.append(problem)
    return Chosen(frozenset(signals), tuple(problems))


def _wanted(signal: Signal, environment: Mapping[str, str]) -> bool:
    named = _exporters(signal, environment)
    if named:
        return named != ["none"]
    specific = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    return bool(environment.get(specific) or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def _problem(signal: Signal, environment: Mapping[str, str]) -> str | None:
    unknown = [name for name in _exporters(signal, environment) if name not in ("otlp", "none")]
    if unknown:
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        return f"{variable} names {', '.join(unknown)}; this gateway has otlp and none"
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environment.get(variable)
        if protocol:
            return None if protocol == PROTOCOL else f"{variable} is {protocol}; this gateway has {PROTOCOL}"
    return None


def _exporters(signal: Signal, environment: Mapping[str, str]) -> list[str]:
    named = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",")
    return [name.strip() for name in named if name.strip()]
