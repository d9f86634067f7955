"""Every metric of every service, as its own registry shows it, and the document that lists them.

python -m tests.unit.monitoring.catalogue        writes docs/monitoring/metrics.md anew
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.unit.monitoring import exhibits

DOCS = Path(__file__).parents[3] / "docs" / "monitoring"
DOCUMENT = DOCS / "metrics.md"

OF_ANY_PROCESS = ("process_", "python_")
"""What the Prometheus client tells of a process; not ours to describe."""
OF_A_TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus adds to whatever it reads."""
PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

INTRODUCTION = """\
# Metrics

Written by `python -m tests.unit.monitoring.catalogue` from what the services show; a test keeps it true.
[README.md](README.md) says where each is read. Every series has the labels `job` and `instance` of Prometheus
besides, and every service shows `process_*` (CPU, memory, open files). A histogram has `_bucket`, `_sum` and
`_count`.
"""
SERVICES = {
    "gateway": "Each process of a gateway has its own series (label `process`): sum over it.",
    "worker": "Sum over workers; each partition and each experiment is one worker's at a time.",
    "routing": (
        "`headgate_routing_*`, `headgate_relay_*` and the tries of webhooks are of one process. "
        "The rest is read from the database, and every routing process shows the same: take the `max`."
    ),
    "api": "",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is shown. ``name`` is what PromQL knows it by; a histogram's has no suffix here."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def series(self) -> Iterator[tuple[str, frozenset[str]]]:
        """The names that PromQL may use, each with its labels."""
        for suffix in PARTS[self.kind] if self.kind == "histogram" else ("",):
            extra = {"le"} if suffix == "_bucket" else set()
            yield self.name + suffix, frozenset({*self.labels, *extra})


def shown(page: str) -> list[Metric]:
    """Return what a page in Prometheus' text format holds, without what is of any process."""
    metrics = []
    for family in text_string_to_metric_families(page):
        if family.name.startswith(OF_ANY_PROCESS):
            continue
        labels = dict.fromkeys(name for one in family.samples for name in one.labels if name != "le")
        name = family.name + ("_total" if family.type == "counter" else "")
        metrics.append(Metric(name, family.type, tuple(labels), family.documentation))
    return metrics


def catalogue() -> dict[str, list[Metric]]:
    """Return every service's metrics."""
    return {service: shown(page) for service, page in exhibits.pages().items()}


def known_series() -> dict[str, frozenset[str]]:
    """Return every name that PromQL may use, with the labels its series may have."""
    known: dict[str, frozenset[str]] = {"up": OF_A_TARGET}
    for metrics in catalogue().values():
        for metric in metrics:
            for name, labels in metric.series:
                known[name] = known.get(name, OF_A_TARGET) | labels
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"):
        known[name] = OF_A_TARGET | {"process"}
    return known


def document() -> str:
    """Return the document."""
    parts = [INTRODUCTION]
    for service, metrics in catalogue().items():
        parts.append(f"\n## {service}\n")
        if SERVICES[service]:
            parts.append(f"\n{SERVICES[service]}\n")
        parts.append("\n| metric | kind | labels | |\n|---|---|---|---|\n")
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            parts.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n")
    return "".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
