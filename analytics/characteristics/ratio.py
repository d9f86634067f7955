"""Scenarios of the sample ratio (α = .001), looked at after every unit."""

import math

import numpy as np

from analytics.characteristics.contrast import RepeatedChiSquare
from analytics.characteristics.runs import AnyScenario, Policy, Scenario
from analytics.characteristics.summary import Claim
from analytics.characteristics.units import ArrivingUnits, SampleRatioTest, loss_limit
from analytics.traffic import Traffic

ALPHA = 0.001
UNITS = 10_000

_RAMP = np.repeat([0.05, 0.25, 0.5], UNITS // 3)


def _flagged(claim: Claim = Claim.FALSE_RATE) -> Policy[Traffic]:
    return Policy("sample ratio", SampleRatioTest(), ALPHA, claim)


_CHI_SQUARE = Policy("repeated χ²-test", RepeatedChiSquare(), ALPHA)


def ratio_scenarios() -> list[AnyScenario]:
    """Everything the sample ratio is tried on."""
    as_assigned: list[AnyScenario] = [
        Scenario(f"units: as assigned, {name}", ArrivingUnits(shares), (_flagged(), _CHI_SQUARE), runs=8000)
        for name, shares in (
            ("share 5%", np.full(UNITS, 0.05)),
            ("share 50%", np.full(UNITS, 0.5)),
            ("ramp", _RAMP),
        )
    ]
    lost = Scenario(
        "units: every tenth of the treatment lost, share 50%",
        ArrivingUnits(np.full(UNITS * 3, 0.5), 0.1),
        (_flagged(Claim.NONE),),
        runs=2000,
        right_from=0,
        requests_per_nat=loss_limit(0.5, 0.1, alpha=math.exp(-1.0)),
    )
    return [*as_assigned, lost]
