"""Whose requests outcomes were, as numbers: numbers become columns and are added up there."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from services.messaging.codec import OutcomeView

_key = attrgetter("key_id")
_team = attrgetter("team_key")


class Payers(dict[tuple[str, str], int]):
    """(key, team) → their number, in the order in which they first came."""

    def __missing__(self, payer: tuple[str, str]) -> int:
        number = self[payer] = len(self)
        return number

    def of(self, outcomes: Sequence[OutcomeView]) -> NDArray[np.int64]:
        """Return who pays for each outcome. Shape (outcomes,)."""
        payers = zip(map(_key, outcomes), map(_team, outcomes), strict=True)
        return np.fromiter(map(self.__getitem__, payers), np.int64, len(outcomes))
