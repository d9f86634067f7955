"""What a canary still needs, if its treatment is as good as the control. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analytics.information import promotion_limit
from analytics.results import Insufficient
from services.api.planning import PROMOTION_OVER_THE_LIMIT, duration
from services.api.result_views import StillNeeded
from services.domain.canary import SequentialPolicy
from services.domain.experiment import Experiment
from services.storage.phase_totals import VariantTotals

Totals = Mapping[int, VariantTotals]


def outlook(
    experiment: Experiment, share: float, totals: Totals, last_hour: Totals, minutes: float
) -> StillNeeded | None:
    """Return what a promotion still needs at the present share; None where no test decides about it.

    ``minutes`` is how many of the last hour the canary ran.
    """
    policy = experiment.canary.policy
    if experiment.stage != "ramp" or not isinstance(policy, SequentialPolicy) or not 0.0 < share < 1.0:
        return None
    treatment = experiment.treatments[0]
    units, requests = _sum(totals, "units"), _sum(totals, "requests")
    if not requests:
        return _not_known(treatment, units, "no requests are counted yet")
    rate = _sum(totals, "errors") / requests
    limit = promotion_limit(rate, rate, share, alpha=policy.alpha_promote / 2, margin=policy.margin_promote)
    if isinstance(limit, Insufficient):
        return _not_known(treatment, units, limit.reason)
    needed = math.ceil(PROMOTION_OVER_THE_LIMIT * limit.requests)
    missing = max(needed - units, 0)
    per_minute = _sum(last_hour, "units") / max(minutes, 1.0)
    takes = missing / per_minute if per_minute else None
    return StillNeeded(
        metric="error_rate",
        variant=treatment,
        units=units,
        units_needed=needed,
        units_missing=missing,
        minutes_missing=takes,
        sentence=_sentence(policy.margin_promote, share, missing, takes),
    )


def _sentence(margin: float, share: float, missing: int, minutes: float | None) -> str:
    if not missing:
        return "as many units were seen as a promotion takes on average"
    when = (
        "; no new units came within the hour" if minutes is None else f", some {duration(minutes)} from now"
    )
    return (
        f"if it is as good as the control, that it is not worse by {margin:.1%} shows on average within "
        f"{missing:,} more units of both, at {share:.0%} of traffic{when}"
    )


def _not_known(treatment: str, units: int, reason: str) -> StillNeeded:
    return StillNeeded(
        metric="error_rate",
        variant=treatment,
        units=units,
        units_needed=None,
        units_missing=None,
        minutes_missing=None,
        sentence=reason,
    )


def _sum(totals: Totals, name: str) -> int:
    return sum(getattr(one, name) for one in totals.values())
