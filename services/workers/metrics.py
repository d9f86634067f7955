"""What a worker counts about itself: touched once for each flush or evaluation, never for each outcome."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.domain.events import DecisionAction
from services.domain.experiment import ExperimentKind
from services.storage.counting import Flush, QualityCount, QualityKind

FlushKind = Literal["counts", "sums"]
FlushTrouble = Literal["refused", "not_written"]
BurialReason = Literal["unreadable", "refused"]

FLUSH_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
EVALUATION_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class WorkerMetrics:
    """The counters of one worker. Every series that may ever be there is there from the start, at 0:
    Prometheus sees no increase in what begins at 1.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.caught_up_at: dict[int, float] = {}
        """When the counts of a partition last held everything that its log held, in ``time.monotonic``."""
        self._outcomes = Counter(
            "headgate_worker_outcomes", "Outcomes counted, once written.", registry=registry
        )
        self._records = Counter(
            "headgate_worker_records", "Records of outcomes.v1 counted, once written.", registry=registry
        )
        self._duplicates = Counter(
            "headgate_worker_duplicates", "Outcomes that had been counted before.", registry=registry
        )
        self._missing = Counter(
            "headgate_worker_missing_outcomes",
            "Outcomes that a gateway had numbered and that did not arrive.",
            registry=registry,
        )
        self._lost = Counter(
            "headgate_worker_lost_records",
            "Records that Kafka removed before they were counted, found at a claim.",
            registry=registry,
        )
        self._noticed = Counter(
            "headgate_worker_noticed",
            "What was noticed about the data, by kind, as in the table data_quality_counts.",
            ["kind"],
            registry=registry,
        )
        self._buried = Counter(
            "headgate_worker_dead_letters",
            "What was put aside in outcomes.v1.dead.",
            ["topic", "reason"],
            registry=registry,
        )
        self._compared = Counter(
            "headgate_worker_comparisons", "Comparisons of shadows read.", registry=registry
        )
        self._flush_seconds = Histogram(
            "headgate_worker_flush_duration_seconds",
            "How long writing took, tries that failed included.",
            ["kind"],
            buckets=FLUSH_SECONDS,
            registry=registry,
        )
        self._flush_troubles = Counter(
            "headgate_worker_flush_failures",
            "Transactions that Postgres did not take.",
            ["kind", "reason"],
            registry=registry,
        )
        self._evaluation_seconds = Histogram(
            "headgate_worker_evaluation_duration_seconds",
            "How long an evaluation took, the record of a decision included.",
            buckets=EVALUATION_SECONDS,
            registry=registry,
        )
        self._evaluation_failures = Counter(
            "headgate_worker_evaluation_failures",
            "Evaluations that came to nothing: storage, or an error in the evaluation.",
            ["reason"],
            registry=registry,
        )
        self._decisions = Counter(
            "headgate_worker_decisions",
            "Decisions of the policy that this worker recorded.",
            ["kind", "action"],
            registry=registry,
        )
        self._begin_at_zero()

    def claimed(self, partitions: Iterable[int]) -> None:
        """Note which partitions are counted here from now on. Nobody knows yet how far behind they are."""
        self.caught_up_at = dict.fromkeys(partitions, time.monotonic())

    def lost(self, records: int) -> None:
        """Note records that are gone from the log and were never counted."""
        self._lost.inc(records)

    def flushed(self, flush: Flush, seconds: float) -> None:
        """Add what a flush wrote."""
        self._flush_seconds.labels("counts").observe(seconds)
        self._outcomes.inc(sum(one.outcomes_counted for one in flush.advances))
        self._records.inc(sum(one.to_offset - one.from_offset for one in flush.advances))
        self._duplicates.inc(sum(one.duplicates_dropped for one in flush.advances))
        self._missing.inc(sum(one.missing for one in flush.gateways))
        self._notice(flush.quality)
        for one in flush.advances:
            if one.caught_up_at is not None and one.partition in self.caught_up_at:
                self.caught_up_at[one.partition] = one.caught_up_at

    def sums_flushed(self, quality: Iterable[QualityCount], seconds: float) -> None:
        """Note that bucket sums were written, and what was noticed."""
        self._flush_seconds.labels("sums").observe(seconds)
        self._notice(quality)

    def flush_failed(self, kind: FlushKind, reason: FlushTrouble) -> None:
        """Note a transaction that Postgres did not take."""
        self._flush_troubles.labels(kind, reason).inc()

    def buried(self, topic: str, reason: BurialReason) -> None:
        """Note a dead letter. ``topic`` is without the installation's prefix."""
        self._buried.labels(topic, reason).inc()

    def compared(self, n: int) -> None:
        """Note comparisons of shadows."""
        self._compared.inc(n)

    def evaluated(self, seconds: float) -> None:
        """Note an evaluation."""
        self._evaluation_seconds.observe(seconds)

    def evaluation_failed(self, reason: Literal["storage", "error"]) -> None:
        """Note an evaluation that came to nothing."""
        self._evaluation_failures.labels(reason).inc()

    def decided(self, kind: ExperimentKind, action: DecisionAction) -> None:
        """Note a decision that was recorded first here."""
        self._decisions.labels(kind, action).inc()

    def _notice(self, quality: Iterable[QualityCount]) -> None:
        for noticed in quality:
            self._noticed.labels(noticed.kind).inc(noticed.n)

    def _begin_at_zero(self) -> None:
        for noticed in get_args(QualityKind):
            self._noticed.labels(noticed)
        for topic in ("outcomes.v1", "comparisons.v1"):
            for why in ("unreadable", "refused"):
                self._buried.labels(topic, why)
        for kind in ("counts", "sums"):
            self._flush_seconds.labels(kind)
            self._flush_troubles.labels(kind, "not_written")
            self._flush_troubles.labels(kind, "refused")
        for failure in ("storage", "error"):
            self._evaluation_failures.labels(failure)
        for experiment_kind in ("canary", "ab_test", "blue_green"):
            for action in ("advance", "promote", "rollback"):
                self._decisions.labels(experiment_kind, action)
