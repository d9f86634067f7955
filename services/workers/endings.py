"""Which experiments and phases are over, as far as this worker knows.

An outcome or a report that comes after its experiment stopped, or for a phase that is over, is noted as late
and still counts for the phase it belongs to. An experiment **closes** some time after its end
(``claims.KEEP_UNITS_OF_STOPPED_HOURS``): from then on its units are no longer remembered, so what still
comes is noted as late and counts nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(slots=True)
class Endings:
    """What is known of the experiments that were seen. ``version`` grows with what is known."""

    version: int = 0
    _phases: dict[UUID, int] = field(default_factory=dict)
    _stopped: set[UUID] = field(default_factory=set)
    _closed: set[UUID] = field(default_factory=set)

    def learn(self, phases: Mapping[UUID, int], stopped: Iterable[UUID]) -> None:
        """Note the phases that experiments are in, and which of them are stopped."""
        news = {one: phase for one, phase in phases.items() if self._phases.get(one) != phase}
        ended = set(stopped) - self._stopped
        if news or ended:
            self._phases |= news
            self._stopped |= ended
            self.version += 1

    def close(self, experiment_ids: Iterable[UUID]) -> None:
        """Note experiments that closed."""
        closed = set(experiment_ids) - self._closed
        if closed:
            self._closed |= closed
            self.version += 1

    def is_late(self, experiment_id: UUID, phase: int) -> bool:
        """Say whether whatever comes now for the experiment and phase comes late."""
        is_over = experiment_id in self._stopped or experiment_id in self._closed
        return is_over or phase < self._phases.get(experiment_id, 0)

    def is_closed(self, experiment_id: UUID) -> bool:
        """Say whether nothing more is counted for the experiment."""
        return experiment_id in self._closed
