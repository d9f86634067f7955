"""Simulated sample ratios stop where the real test flags."""

import math

import numpy as np

from analytics.characteristics.units import ArrivingUnits, SampleRatioTest, loss_limit
from analytics.sample_ratio import SampleRatio, SplitCounts, sample_ratio


def test_it_flags_where_the_evidence_does() -> None:
    shares = np.repeat([0.1, 0.5], 150)
    traffic = ArrivingUnits(shares, 0.6).draw(np.random.default_rng(31), 6)
    stops = SampleRatioTest(20.0).stops(traffic)
    assert stops.stopped.any()
    for run in range(6):
        expected, splits = -1, {0.1: [0, 0], 0.5: [0, 0]}
        for position, share in enumerate(shares.tolist()):
            splits[share][0 if traffic.treated[run, position] else 1] += 1
            counts = [SplitCounts((w, 1.0 - w), (t, c)) for w, (t, c) in splits.items()]
            result = sample_ratio(counts, threshold=20.0)
            if isinstance(result, SampleRatio) and result.flagged:
                expected = position
                break
        assert stops.positions[run] == expected


def test_what_is_lost_is_missing_from_the_treatment() -> None:
    traffic = ArrivingUnits(np.full(1_000, 0.5), 0.2).draw(np.random.default_rng(32), 200)
    assert abs(traffic.treated.mean() - 0.4 / 0.9) < 4 * (0.25 / traffic.treated.size) ** 0.5


def test_the_limit_of_a_loss() -> None:
    arriving = 0.45 / 0.95
    information = arriving * math.log(arriving / 0.5) + (1 - arriving) * math.log((1 - arriving) / 0.5)
    assert math.isclose(loss_limit(0.5, 0.1, alpha=0.001), arriving * math.log(1000) / information)
