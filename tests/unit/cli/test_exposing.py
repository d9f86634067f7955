"""Metrics of processes without a port of their own."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from services.cli.exposing import metrics_at


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_what_is_counted_is_shown_while_the_context_is_open() -> None:
    registry = CollectorRegistry()
    counter = Counter("headgate_things", "Things.", registry=registry)
    with metrics_at("127.0.0.1", 0, registry) as port:
        assert port is not None
        counter.inc(3)
        shown = page(port)
    assert "headgate_things_total 3.0" in shown
    assert "_created" not in shown
    assert "headgate_build_info{" in shown
    assert "process_cpu_seconds_total" in shown
    with pytest.raises(urllib.error.URLError):
        page(port)


def test_without_a_port_nothing_is_shown() -> None:
    registry = CollectorRegistry()
    with metrics_at("127.0.0.1", None, registry) as port:
        assert port is None
    assert list(registry.collect()) == []
