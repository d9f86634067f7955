"""What an evaluation of an A/B test depends on; stored with its decisions."""

from __future__ import annotations

from typing import Any

import msgspec

from services.domain.ab_test import ABTestDefinition
from services.domain.bucket_table import BucketTable
from services.domain.counts import CountTable, Integers
from services.domain.metric import UNITS, column_of
from services.domain.packing import pack, unpack
from services.domain.sketches import SourceSketches


class ABTestInputs(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of an A/B test: its split, and everything counted and summed under it.

    ``variants`` and ``weights_bp`` are the phase's, the control first; ``buckets`` and ``sketches`` are
    those of each variant, over all segments. Ticks are minutes since the epoch, in the log's time.
    """

    definition: ABTestDefinition
    phase: int
    variants: tuple[str, ...]
    weights_bp: tuple[int, ...]
    counts: CountTable
    buckets: tuple[BucketTable, ...]
    sketches: tuple[SourceSketches, ...]
    first_tick: int
    now_tick: int
    minutes_running: float
    evidence_age_seconds: float
    freeze: str = ""
    """A sentence where the route is frozen."""

    @property
    def treatments(self) -> range:
        """The places of the treatments among the variants."""
        return range(1, len(self.variants))

    def pairwise_share(self, treatment: int) -> float:
        """Return the treatment's share of what it and the control get together."""
        of_treatment, of_control = self.weights_bp[treatment], self.weights_bp[0]
        return of_treatment / (of_treatment + of_control)

    @property
    def totals(self) -> tuple[Integers, ...]:
        """All that was counted of each variant, by the columns of ``Count``."""
        counts = self.counts
        return tuple(counts.sums(counts.of_variant(index)) for index in range(len(self.variants)))

    def body(self) -> dict[str, Any]:
        """As JSON, with the columns and sketches that decide; read back by ``ab_inputs_from``."""
        columns, sources = deciding_columns(self.definition), sketched_sources(self.definition)
        return pack(
            msgspec.structs.replace(
                self,
                buckets=tuple(table.only(columns) for table in self.buckets),
                sketches=tuple(sketches.only(sources) for sketches in self.sketches),
            )
        )


def ab_inputs_from(body: dict[str, Any]) -> ABTestInputs:
    """Read stored inputs back."""
    return unpack(body, ABTestInputs)


def deciding_columns(definition: ABTestDefinition) -> tuple[str, ...]:
    """Return the columns that goals, secondary metrics and guardrails are read from."""
    keys = dict.fromkeys((UNITS.key, "error"))
    for metric in definition.metrics:
        keys[column_of(metric).key] = None
        if metric.denominator is not None:
            keys[metric.denominator] = None
    return tuple(keys)


def sketched_sources(definition: ABTestDefinition) -> frozenset[str]:
    """Return the sources whose distribution a metric asks for."""
    return frozenset(metric.source for metric in definition.metrics if metric.kind == "quantile")
