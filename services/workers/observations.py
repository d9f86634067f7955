"""Outcomes as they are gathered, and the columns they become: one pass over many instead of many over one.

Nothing is decided about an outcome while it is gathered. It gets the number of its kind, and stays in the
order of the log; what depends on that order is decided later for all of a flush together (see ``deciding``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers
from services.domain.events import UnitSource
from services.messaging.codec import OutcomeView
from services.workers.directory import Directory
from services.workers.kinds import Kinds
from services.workers.ledgers import Ledgers
from services.workers.lines import Line
from services.workers.payers import Payers
from services.workers.units import Hashes

MISSING = -1
"""In a column: the outcome has no such value."""

BLOCK = 1_000
"""So many outcomes become columns at a time: they are in the processor's cache still, and the next ones get
their memory."""

T = TypeVar("T")

_SUMMED = tuple(
    map(
        attrgetter,
        ("latency_us", "first_token_us", "prompt_tokens", "completion_tokens", "cost_nanos", "cached_tokens"),
    )
)
_status = attrgetter("status")
_unit = attrgetter("unit_hash")
_unit_source = attrgetter("unit_source")
_attributes = attrgetter("attributes")
_covariate = attrgetter("covariate")


class Owner(Protocol):
    """Who knows what was before, at one place of a partition's log."""

    @property
    def ledgers(self) -> Ledgers:
        """The units that were seen before."""
        ...

    @property
    def partition(self) -> int:
        """Whose log it is."""
        ...

    def find(self, kinds: Kinds, numbers: Integers) -> tuple[Directory, Integers]:
        """Return where outcomes of these kinds count: a directory, and the groups' numbers there."""
        ...


class Report(NamedTuple):
    """A piece of feedback, for one of its lines. ``micros`` is its value in millionths."""

    line: Line
    unit_hash: int
    name: str
    micros: int
    is_first_true: bool
    attributes: dict[str, str]


class Run(NamedTuple):
    """So many outcomes of one record: whose they are, in which minute, and when they were appended."""

    owner: Owner
    tick: int
    timestamp_ms: int
    size: int


class Block(NamedTuple):
    """Some outcomes as columns."""

    kinds: Integers
    units: Hashes
    statuses: NDArray[np.uint8]
    remembered: NDArray[np.bool_]
    payers: Integers
    latency: Integers
    first_token: Integers
    prompt_tokens: Integers
    completion_tokens: Integers
    cost: Integers
    cached_tokens: Integers


_NONE = np.empty(0, np.int64)
_NOTHING = Block(_NONE, np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.bool_), *[_NONE] * 7)


@dataclass(slots=True)
class Observations:
    """What was gathered, in the order of the log."""

    kinds: Kinds = field(default_factory=Kinds)
    outcomes: list[OutcomeView] = field(default_factory=list)
    """The newest; those before are in ``blocks``."""
    numbers: list[int] = field(default_factory=list)
    """Of their kinds."""
    blocks: list[Block] = field(default_factory=list)
    settled: int = 0
    """How many outcomes the blocks hold."""
    runs: list[Run] = field(default_factory=list)
    attributes: dict[int, dict[str, str]] = field(default_factory=dict)
    """Those of settled outcomes that have any."""
    covariates: dict[int, float] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    owners: dict[Owner, None] = field(default_factory=dict)
    """Whose ledgers may grow."""
    payers: Payers = field(default_factory=Payers)

    def __bool__(self) -> bool:
        return bool(self.owners)

    @property
    def gathered(self) -> int:
        """How many outcomes."""
        return self.settled + len(self.outcomes)

    @property
    def size(self) -> int:
        """How many outcomes and reports."""
        return self.gathered + len(self.reports)

    def involve(self, owner: Owner) -> None:
        """Note that something of this owner's is gathered."""
        self.owners[owner] = None

    def gather(
        self, owner: Owner, tick: int, timestamp_ms: int, outcomes: Sequence[OutcomeView], kinds: list[int]
    ) -> None:
        """Gather outcomes of one record, with the numbers of their kinds."""
        self.involve(owner)
        self.outcomes += outcomes
        self.numbers += kinds
        self.runs.append(Run(owner, tick, timestamp_ms, len(kinds)))
        if len(self.outcomes) >= BLOCK:
            self._settle()

    def block(self) -> Block:
        """Return all outcomes as columns."""
        if self.outcomes:
            self._settle()
        if len(self.blocks) > 1:
            self.blocks = [Block(*map(np.concatenate, zip(*self.blocks, strict=True)))]
        return self.blocks[0] if self.blocks else _NOTHING

    def _settle(self) -> None:
        """Turn the newest outcomes into columns."""
        outcomes = self.outcomes
        sources = np.frombuffer(bytes(map(_unit_source, outcomes)), np.uint8)
        self.blocks.append(
            Block(
                np.array(self.numbers, np.int64),
                np.array(list(map(_unit, outcomes)), np.uint64),
                np.frombuffer(bytes(map(_status, outcomes)), np.uint8),
                # Where the unit is the request itself every event is its first, and nothing is remembered.
                sources != UnitSource.REQUEST,
                self.payers.of(outcomes),
                *(_optional(number, outcomes) for number in _SUMMED),
            )
        )
        self._keep(self.attributes, _attributes, outcomes)
        self._keep(self.covariates, _covariate, outcomes)
        self.settled += len(outcomes)
        self.outcomes, self.numbers = [], []

    def _keep(
        self, kept: dict[int, T], value: Callable[[OutcomeView], T | None], outcomes: Iterable[OutcomeView]
    ) -> None:
        values = list(map(value, outcomes))
        if any(values):
            kept.update((at, one) for at, one in enumerate(values, self.settled) if one)


def _optional(number: Callable[[OutcomeView], int | None], outcomes: Sequence[OutcomeView]) -> Integers:
    try:
        return np.fromiter(map(number, outcomes), np.int64, len(outcomes))
    except TypeError:  # some are missing
        values = list(map(number, outcomes))
    if values.count(None) == len(values):
        return np.full(len(values), MISSING, np.int64)
    return np.array([MISSING if value is None else value for value in values], np.int64)
