"""How a worker stands at the moment somebody asks: how far behind, and what it evaluates.

Asked for by another thread than the loop's, so that a worker that hangs still shows how old its counts get.
"""

from __future__ import annotations

import time
from collections import Counter as Multiset
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.domain.ab_test import ABTestDefinition
from services.domain.assignment import BASIS_POINTS
from services.storage.evidence import EvidenceSnapshot
from services.workers.lease import Lessor
from services.workers.metrics import WorkerMetrics
from services.workers.results import Judged
from services.workers.watch import Watch

K = TypeVar("K", int, str)


class Offsets(Protocol):
    """Somebody who has got so far in each partition."""

    @property
    def offsets(self) -> dict[int, int]:
        """The next offset by partition."""


class Counting(Offsets, Protocol):
    """Who counts."""

    @property
    def unwritten(self) -> int:
        """How many outcomes are counted and not written."""


class Evaluating(Protocol):
    """Who evaluates."""

    @property
    def owned(self) -> int:
        """How many partitions of ``touched.v1`` it owns."""

    @property
    def watches(self) -> list[Watch]:
        """The experiments under evaluation."""


class Log(Protocol):
    """Who knows where the log ends."""

    def log_end(self, partition: int) -> int | None:
        """The end of a partition."""


class Gauges(Collector):
    """A collector of a worker's parts. ``clock`` is wall time in seconds."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        log: Log,
        counter: Counting,
        buckets: Offsets,
        evaluator: Evaluating,
        lessor: Lessor,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._counter = counter
        self._buckets = buckets
        self._evaluator = evaluator
        self._lessor = lessor
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return every gauge."""
        yield from self._partitions()
        yield from self._evaluation(self._evaluator.watches)
        judged = [watch.judged for watch in self._evaluator.watches if watch.judged is not None]
        yield from self._experiments(judged)

    def _partitions(self) -> Iterator[Metric]:
        counted, now = self._counter.offsets, time.monotonic()
        ends = {number: self._log.log_end(number) for number in counted}
        behind = {n: float(max(end - counted[n], 0)) for n, end in ends.items() if end is not None}
        ages = {n: now - at for n, at in list(self._metrics.caught_up_at.items()) if n in counted}
        written = self._buckets.offsets
        sums = {number: float(counted[number] - written[number]) for number in counted.keys() & written}
        owned = GaugeMetricFamily(
            "headgate_worker_partitions", "Partitions that this worker owns.", labels=["topic"]
        )
        owned.add_metric(["outcomes.v1"], len(counted))
        owned.add_metric(["touched.v1"], self._evaluator.owned)
        yield owned
        for name, help_, by_partition in (
            ("lag_records", "Records of the log that are not counted yet.", behind),
            ("lag_seconds", "Since when the written counts have not held everything in the log.", ages),
            ("sums_lag_records", "Records counted that the written bucket sums lack.", sums),
        ):
            yield _by("partition", f"headgate_worker_{name}", help_, by_partition)
        waiting = "Outcomes counted that wait for the next flush."
        yield GaugeMetricFamily("headgate_worker_unwritten_outcomes", waiting, self._counter.unwritten)

    def _evaluation(self, watches: list[Watch]) -> Iterator[Metric]:
        kinds = Multiset(one.judged.snapshot.experiment.kind for one in watches if one.judged is not None)
        experiments = GaugeMetricFamily(
            "headgate_worker_experiments", "Running experiments that are evaluated here.", labels=["kind"]
        )
        for kind in ("canary", "ab_test", "blue_green"):
            experiments.add_metric([kind], kinds[kind])
        yield experiments
        now, wall = time.monotonic(), self._clock()
        seen = {_name(watch): now - watch.judged_at for watch in watches}
        yield _by(
            "experiment",
            "headgate_worker_evaluation_age_seconds",
            "How long ago each running experiment was last evaluated, or began to wait for it.",
            seen,
        )
        measured = dict(self._lessor.measured_at)
        known = {
            _name(watch): wall - measured[watch.experiment_id]
            for watch in watches
            if watch.experiment_id in measured
        }
        yield _by(
            "experiment",
            "headgate_worker_lease_age_seconds",
            "How old the evidence is that the newest lease Kafka has tells gateways of.",
            known,
        )

        limits = {
            _name(watch): watch.judged.evaluation.inputs.definition.lease_limit_seconds
            for watch in watches
            if watch.judged is not None
        }
        yield _by(
            "experiment",
            "headgate_worker_lease_limit_seconds",
            "How old that evidence may be before gateways stop serving the treatment.",
            limits,
        )

    def _experiments(self, judged: list[Judged]) -> Iterator[Metric]:
        rule = GaugeMetricFamily(
            "headgate_experiment_rule",
            "1 for the rule by which the newest evaluation holds or decides.",
            labels=["route", "experiment", "kind", "stage", "rule"],
        )
        share = GaugeMetricFamily(
            "headgate_experiment_treatment_ratio",
            "The share of its route's units that may meet a treatment.",
            labels=["route", "experiment"],
        )
        evidence = GaugeMetricFamily(
            "headgate_experiment_guardrail_e_value",
            "The evidence that a guardrail is violated; always valid, 1 is none.",
            labels=["route", "experiment", "metric", "variant"],
        )
        for one in judged:
            experiment, evaluation = one.snapshot.experiment, one.evaluation
            route, key = experiment.route_key, experiment.key
            stage = experiment.stage
            rule.add_metric([route, key, experiment.kind, stage, evaluation.judgement.rule], 1)
            share.add_metric([route, key], _share(one.snapshot))
            for verdict in evaluation.situation.guardrails:
                if (e_value := verdict.figures.get("e_value")) is not None:
                    evidence.add_metric([route, key, verdict.metric, verdict.variant or "treatment"], e_value)
        yield from (rule, share, evidence)


def _by(label: str, name: str, help_: str, values: Mapping[K, float]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([str(key)], value)
    return family


def _name(watch: Watch) -> str:
    """An experiment's key, or its id until it was evaluated once."""
    return str(watch.experiment_id) if watch.judged is None else watch.judged.snapshot.experiment.key


def _share(snapshot: EvidenceSnapshot) -> float:
    allocation = snapshot.allocation
    if not isinstance(snapshot.experiment.definition, ABTestDefinition):
        return allocation.treatment_share_bp / BASIS_POINTS
    if allocation.test is None:
        return 0.0
    weights = allocation.test.weights_bp
    return allocation.test.traffic_bp / BASIS_POINTS * (1 - weights[0] / BASIS_POINTS)
