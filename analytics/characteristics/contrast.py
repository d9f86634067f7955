"""What people do without a sequential test, for contrast: these tests claim nothing and are never used."""

from dataclasses import dataclass

import numpy as np

from analytics.betting import Floats
from analytics.games import NEVER, Positions, Stops, stops_at
from analytics.traffic import Flags, Traffic


@dataclass(frozen=True, slots=True)
class RepeatedZTest:
    """The two-sided z-test of two pooled proportions, looked at again and again; it stops when worse.

    Attributes:
        critical: |z| from which a difference is believed; 1.96 for 95 %.
        every: how many requests lie between two looks.
    """

    critical: float = 1.96
    every: int = 60

    def stops(self, traffic: Traffic) -> Stops:
        """Where each run is rolled back."""
        n_t, n_c = self._seen(traffic.treated), self._seen(~traffic.treated)
        x_t, x_c = self._seen(traffic.treated & traffic.errors), self._seen(~traffic.treated & traffic.errors)
        pooled = (x_t + x_c) / (n_t + n_c)
        # z² = (x_t/n_t − x_c/n_c)² / (p(1−p)(1/n_t + 1/n_c)), multiplied out
        lead = x_t * n_c - x_c * n_t
        fired = (lead > 0.0) & (
            lead**2 > self.critical**2 * pooled * (1.0 - pooled) * (n_t + n_c) * n_t * n_c
        )
        return stops_at(traffic.treated, _first_look(fired, self.every))

    def _seen(self, flags: Flags) -> Floats:
        return flags.cumsum(axis=1)[:, self.every - 1 :: self.every].astype(np.float64)


@dataclass(frozen=True, slots=True)
class RepeatedChiSquare:
    """The χ²-test of all units against the share that is in force now, looked at again and again.

    Attributes:
        critical: χ² from which a mismatch is believed; 10.83 for 99.9 %.
        every: how many units lie between two looks.
    """

    critical: float = 10.83
    every: int = 60

    def stops(self, traffic: Traffic) -> Stops:
        """Where each run is flagged."""
        look = slice(self.every - 1, None, self.every)
        units = np.arange(1, len(traffic.shares) + 1, dtype=np.float64)[look]
        w = traffic.shares[look]
        off = traffic.treated.cumsum(axis=1)[:, look] - w * units
        fired: Flags = off**2 > self.critical * units * w * (1.0 - w)
        return stops_at(traffic.treated, _first_look(fired, self.every))


def _first_look(fired: Flags, every: int) -> Positions:
    return np.where(fired.any(axis=1), fired.argmax(axis=1) * every + every - 1, NEVER)
