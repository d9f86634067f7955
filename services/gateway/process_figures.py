"""What Prometheus' clients tell of every process, and which release this one runs."""

from __future__ import annotations

import platform
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector

from services.gateway.compiled import COMPILED
from services.gateway.exposition import Figures, Kind

_process = ProcessCollector(registry=CollectorRegistry())
_VERSION = version("headgate")
_KINDS: dict[str, Kind] = {"counter": "counter", "gauge": "gauge"}


def add_process(figures: Figures) -> None:
    """Add them."""
    help_ = "1. Which release runs, and whether its serving path is compiled."
    labels = {"version": _VERSION, "python": platform.python_version(), "compiled": str(COMPILED).lower()}
    figures.single("headgate_build_info", "gauge", help_, 1, **labels)
    for metric in _process.collect():
        for sample in metric.samples:
            figures.single(sample.name, _KINDS[metric.type], metric.documentation, sample.value)
