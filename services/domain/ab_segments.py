"""Results by segment: exploratory, and corrected over everything that is shown as a segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from analytics.comparison import Method
from analytics.corrections import benjamini_hochberg
from analytics.estimates import Effect
from analytics.results import Insufficient
from analytics.sequential import boundary, sequential
from services.domain.ab_corrections import alike
from services.domain.ab_findings import Measured, measure
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_results import quantile_rows
from services.domain.bucket_table import BucketTable
from services.domain.results import SEQUENTIAL, ResultRow, Subject
from services.domain.sketches import SourceSketches


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """What was summed of the requests with one value of an attribute, for each variant."""

    name: str
    buckets: tuple[BucketTable, ...]
    sketches: tuple[SourceSketches, ...]


def segment_rows(inputs: ABTestInputs, segments: Iterable[Segment]) -> list[ResultRow]:
    """Return the results by segment, corrected.

    Nobody said beforehand in which segment a difference was expected, so every row is exploratory.
    """
    return corrected([row for segment in segments for row in rows_of_segment(inputs, segment)])


def corrected(rows: list[ResultRow]) -> list[ResultRow]:
    """Return the rows of all segments with p-values corrected (Benjamini-Hochberg) over all of them."""
    tests = [row for row in rows if row.statistic == "absolute_difference"]
    known = [row.p_value for row in tests if row.p_value is not None]
    adjusted = iter(benjamini_hochberg(known, planned=len(tests)))
    return alike(
        [
            msgspec.structs.replace(row, adjusted_p_value=next(adjusted))
            if row.statistic == "absolute_difference" and row.p_value is not None
            else row
            for row in rows
        ]
    )


def rows_of_segment(inputs: ABTestInputs, segment: Segment) -> Iterator[ResultRow]:
    """Return the results of one segment, each p-value for itself."""
    for metric in inputs.definition.metrics:
        measured = measure(metric, segment.buckets, segment.sketches)
        if metric.kind == "quantile":
            yield from quantile_rows(measured, inputs, {}, segment.name)
            continue
        yield from _mean_rows(inputs, measured, segment.name)
        for treatment in inputs.treatments:
            yield from _difference_rows(inputs, measured, treatment, segment.name)


def _mean_rows(inputs: ABTestInputs, measured: Measured, segment: str) -> Iterator[ResultRow]:
    alpha = inputs.definition.alpha
    for variant, estimate in zip(inputs.variants, measured.estimates, strict=True):
        subject = Subject(measured.metric.key, variant, "", segment)
        if isinstance(estimate, Insufficient):
            yield subject.without("mean", SEQUENTIAL, estimate.reason, always_valid=True)
        else:
            yield subject.mean(
                measured.metric, estimate, SEQUENTIAL, boundary(estimate.sample_size, alpha), alpha
            )


def _difference_rows(
    inputs: ABTestInputs, measured: Measured, treatment: int, segment: str
) -> Iterator[ResultRow]:
    subject = Subject(measured.metric.key, inputs.variants[treatment], inputs.variants[0], segment)
    pair = measured.comparable[treatment], measured.comparable[0]
    for effect in Effect:
        found = sequential(*pair, alpha=inputs.definition.alpha, effect=effect)
        yield subject.comparison(measured.metric, found, effect, Method.SEQUENTIAL)
