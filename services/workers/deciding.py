"""What is special about an outcome where it counts: is it its unit's first, and where its latency lies.

That depends on what came before in the log, down to the outcome before. It is decided for all outcomes of a
flush together, and comes out as if each had been looked at by itself, one after the other.
"""

from __future__ import annotations

import numpy as np

from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import Integers
from services.domain.status import OutcomeStatus
from services.storage.exposures import Exposures
from services.workers.columns import ROW_BITS, Columns, opened
from services.workers.ledgers import CONTENT_FILTER, ERROR, REQUESTS
from services.workers.lines import FIRST_ERROR, FIRST_FILTER, FIRST_REQUEST, IS_ERROR, LATENCY_SHIFT
from services.workers.observations import Observations
from services.workers.units import Events

_ERRORS = np.array(IS_ERROR)
_BUCKET_SHIFT = np.uint64(64 - (ANALYSIS_BUCKETS - 1).bit_length())


def decided(observations: Observations) -> Columns:
    """Return everything gathered as columns. Its owners know more afterwards: to be called once, in order."""
    block = observations.block()
    found, groups = opened(observations, block)
    pair_outcomes, pair_lines = _pairs(groups, found.sizes, found.starts)
    columns = Columns(
        observations=observations,
        opened=found,
        groups=groups,
        units=block.units,
        statuses=block.statuses,
        failed=_ERRORS[block.statuses],
        filtered=block.statuses == OutcomeStatus.CONTENT_FILTERED,
        buckets=(block.units >> _BUCKET_SHIFT).astype(np.int64),
        remembered=block.remembered,
        payers=block.payers,
        latency=block.latency,
        first_token=block.first_token,
        prompt_tokens=block.prompt_tokens,
        completion_tokens=block.completion_tokens,
        cost=block.cost,
        cached_tokens=block.cached_tokens,
        pair_outcomes=pair_outcomes,
        pair_lines=pair_lines,
        marks=np.zeros(len(pair_lines), np.int64),
        new_units=[],
        grown=[],
    )
    _mark(columns)
    _place_latencies(columns)
    for owner in observations.owners:
        added, grown = owner.ledgers.take_new()
        columns.new_units.append(added)
        columns.grown.append(grown)
    return columns


def exposures(columns: Columns) -> Exposures:
    """Return the units that are served for the first time."""
    runs, exposed_to = columns.observations.runs, columns.opened.exposed_to
    is_first = (columns.marks & FIRST_REQUEST != 0) & columns.remembered[columns.pair_outcomes]
    places = np.flatnonzero(is_first)
    outcomes, lines = columns.pair_outcomes[places], columns.pair_lines[places]
    of_runs = np.searchsorted(np.cumsum([run.size for run in runs]), outcomes, side="right")
    return Exposures(
        [exposed_to[line] for line in lines.tolist()],
        columns.units[outcomes],
        np.array([run.tick for run in runs], np.int64)[of_runs],
        np.array([run.timestamp_ms for run in runs], np.int64)[of_runs],
    )


def _pairs(groups: Integers, lengths: Integers, starts: Integers) -> tuple[Integers, Integers]:
    """Return the outcome and the open line of each pair."""
    outcomes = np.arange(len(groups))
    if not len(lengths) or (lengths == 1).all():
        return outcomes, starts[groups]
    times = lengths[groups]
    pair_outcomes = np.repeat(outcomes, times)
    place_in_group = np.arange(len(pair_outcomes)) - np.repeat(times.cumsum() - times, times)
    return pair_outcomes, starts[groups][pair_outcomes] + place_in_group


def _mark(columns: Columns) -> None:
    """Mark each pair, but for where its latency lies."""
    new, before = _firsts(columns)
    special = np.flatnonzero(new)
    new, before = new[special], before[special]
    twice = columns.opened.line_facts["twice"][columns.pair_lines[special]]
    is_request, was_served = new & REQUESTS != 0, before & REQUESTS != 0
    columns.marks[special] = (
        np.where(is_request, np.where(was_served, twice, FIRST_REQUEST), 0)
        | np.where(new & ERROR != 0, FIRST_ERROR, 0)
        | np.where(new & CONTENT_FILTER != 0, FIRST_FILTER, 0)
    )


def _firsts(columns: Columns) -> tuple[Events, Events]:
    """Return which events of each pair are its unit's first, and which the unit had before."""
    outcomes, lines, facts = columns.pair_outcomes, columns.pair_lines, columns.opened.line_facts
    further = columns.failed * np.uint32(ERROR) | columns.filtered * np.uint32(CONTENT_FILTER)
    events = facts["request_bit"][lines] | further[outcomes]
    # Of a unit that is not remembered everything is the first.
    new, before = events.copy(), np.zeros_like(events)
    is_remembered, owners = columns.remembered[outcomes], columns.opened.owners[lines]
    for number, owner in enumerate(columns.observations.owners):
        own = np.flatnonzero(is_remembered & (owners == number))
        of_ledgers, units = facts["ledger"][lines[own]], columns.units[outcomes[own]]
        new[own], before[own] = owner.ledgers.note(of_ledgers, units, events[own])
    return new, before


def _place_latencies(columns: Columns) -> None:
    """Add to the marks of first requests that succeeded where their latency lies."""
    outcomes, opened_lines = columns.pair_outcomes, columns.opened.lines
    is_whole = columns.statuses[outcomes] == OutcomeStatus.OK
    places = np.flatnonzero(is_whole & (columns.marks & FIRST_REQUEST != 0))
    latencies, lines = columns.latency[outcomes[places]].tolist(), columns.pair_lines[places]
    ticks = (columns.opened.line_keys[lines] >> ROW_BITS).tolist()
    counted_in = [opened_lines[number] for number in lines.tolist()]
    bins = [
        line.window.place(latency, tick, is_control=line.is_control)
        for line, latency, tick in zip(counted_in, latencies, ticks, strict=True)
    ]
    columns.marks[places] |= np.array(bins, np.int64) << LATENCY_SHIFT
