"""Units arriving in the wrong proportions, and when the test of `analytics.sample_ratio` flags it."""

from dataclasses import dataclass

import numpy as np

from analytics.betting import Floats
from analytics.games import Game, Stops, play, stops_at
from analytics.sample_ratio import ODDS_RATIOS, THRESHOLD
from analytics.traffic import Traffic


@dataclass(frozen=True, slots=True)
class ArrivingUnits:
    """New units, one request each, of which the treatment loses some before they are counted.

    Attributes:
        shares: shape (units,), the treatment's propensity w.
        lost: the fraction of the treatment's units that never arrive.
    """

    shares: Floats
    lost: float = 0.0

    def draw(self, random: np.random.Generator, runs: int) -> Traffic:
        """Draw `runs` independent runs."""
        arriving = self.shares * (1.0 - self.lost) / (1.0 - self.shares * self.lost)
        treated = random.random((runs, len(self.shares)), np.float32) < arriving.astype(np.float32)
        return Traffic(self.shares, treated, np.zeros_like(treated))


@dataclass(frozen=True, slots=True)
class SampleRatioTest:
    """The e-process of `analytics.sample_ratio` with two variants, looked at after every unit."""

    threshold: float = THRESHOLD

    def stops(self, traffic: Traffic) -> Stops:
        """Where each run is flagged."""
        shares, share_index = np.unique(traffic.shares, return_inverse=True)
        ratios = np.asarray(ODDS_RATIOS)
        inside = ratios / (1.0 + shares[:, None] * (ratios - 1.0))
        game = Game(np.stack([inside, inside / ratios], axis=1), self.threshold)
        outcomes = (~traffic.treated).astype(np.int16)
        positions = play(game, outcomes, share_index, np.ones_like(traffic.treated))
        return stops_at(traffic.treated, positions)


def loss_limit(share: float, lost: float, *, alpha: float) -> float:
    """The fewest treatment units on average of any test that sees the loss: w'·log(1/α)/KL(w'‖w)."""
    arriving = share * (1.0 - lost) / (1.0 - share * lost)
    information = arriving * np.log(arriving / share) + (1.0 - arriving) * np.log(
        (1.0 - arriving) / (1.0 - share)
    )
    return float(arriving * np.log(1.0 / alpha) / information)
