"""How soon an experiment could find what, on the traffic its route had lately. Pure functions.

Each request is taken to come from a unit of its own. Where units send several, fewer units arrive per hour,
and everything that is counted by unit takes longer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from analytics.comparison import Method
from analytics.information import InformationLimit, promotion_limit, rollback_limit
from analytics.power import Design, mean_variance, proportion_variance
from analytics.results import Insufficient
from services.api.dry_run_views import Detectable
from services.domain.ab_test import ABTestDefinition
from services.domain.canary import CanaryDefinition, Guardrail, SequentialPolicy
from services.domain.metric import FEEDBACK, Metric
from services.storage.route_traffic import RouteTraffic

ROLLBACK_OVER_THE_LIMIT = 1.9
"""How many times the information limit a rollback took on average, at most, in simulation.

It was 1.3 to 1.9 at error rates from 0.1 % on, the most for 25 points more at shares of 1 to 5 %. Below it is
more, 2.0 at 0.02 %: there a dozen requests of the treatment decide, and they are whole numbers.
"""
PROMOTION_OVER_THE_LIMIT = 1.5
"""The same of a promotion of a treatment as good as the control: it was 1.23 to 1.46."""
ASSUMED_ERROR_RATE = 0.01
"""Where the route had no errors, or no traffic to have any."""
WORSE_BY = (0.01, 0.05, 0.25)
POWER = 0.8
UNKNOWN_RATE = 0.5
"""The rate at which a proportion varies most."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is expected of the route."""

    requests_per_second: float
    error_rate: float
    content_filter_rate: float

    @classmethod
    def of(cls, seen: RouteTraffic) -> Traffic:
        """Return what to expect after what was seen."""
        requests = max(seen.requests, 1)
        return cls(
            seen.requests_per_second,
            seen.errors / requests if seen.errors else ASSUMED_ERROR_RATE,
            seen.content_filters / requests,
        )

    def hours(self, requests: float) -> float | None:
        """Return how long so many requests take; None where none come."""
        return requests / self.requests_per_second / 3_600 if self.requests_per_second else None


def canary_plan(definition: CanaryDefinition, traffic: Traffic) -> Iterator[Detectable]:
    """Return how soon a worse canary is pulled, and how soon a good one is promoted."""
    policy = definition.policy
    if not isinstance(policy, SequentialPolicy):
        return
    for guardrail in policy.guardrails:
        if guardrail.metric == "error_rate":
            yield from _rollbacks(definition, policy, guardrail, traffic)
    control, last = traffic.error_rate, definition.plan.steps[-1]
    # Half of the error budget goes to each of the two tests a promotion may pass.
    limit = promotion_limit(
        control, control, last, alpha=policy.alpha_promote / 2, margin=policy.margin_promote
    )
    question = f"shown to be not worse by {policy.margin_promote:.1%}, at {last:.0%} of traffic"
    yield _of_canary(definition.treatment, question, 0.0, limit, traffic, PROMOTION_OVER_THE_LIMIT)


def _rollbacks(
    definition: CanaryDefinition, policy: SequentialPolicy, guardrail: Guardrail, traffic: Traffic
) -> Iterator[Detectable]:
    """Return how soon the guardrail on error rates pulls a worse canary, at its first step."""
    share, control, margin = definition.plan.steps[0], traffic.error_rate, guardrail.margin
    alpha = policy.alpha_rollback / len(policy.guardrails)
    for worse_by in WORSE_BY:
        rate = control + worse_by
        if rate >= 1:
            continue
        question = f"rolled back, if its error rate is {rate:.1%} instead of {control:.1%}"
        limit: InformationLimit | Insufficient
        # Of what is worse by the margin, floating-point numbers would make a limit that is absurdly large.
        if round(worse_by - margin, 6) <= 0:
            limit = Insufficient(f"never, as that is within the guardrail's margin of {100 * margin:g}%")
        else:
            limit = rollback_limit(control, rate, share, alpha=alpha, margin=margin)
        yield _of_canary(definition.treatment, question, worse_by, limit, traffic, ROLLBACK_OVER_THE_LIMIT)


def _of_canary(
    treatment: str,
    question: str,
    effect: float,
    limit: InformationLimit | Insufficient,
    traffic: Traffic,
    over_the_limit: float,
) -> Detectable:
    if isinstance(limit, Insufficient):
        return _unknown("error_rate", treatment, question, limit.reason)
    requests = over_the_limit * limit.requests
    hours = traffic.hours(requests)
    return Detectable(
        metric="error_rate",
        variant=treatment,
        question=question,
        effect=effect,
        unit="fraction",
        units=round(requests),
        hours=hours,
        method="exact_sequential",
        sentence=f"{question}: on average within {requests:,.0f} requests of both variants{_about(hours)}",
        insufficient=None if hours is not None else NO_TRAFFIC,
    )


NO_TRAFFIC = "the route had no traffic lately, so there is no saying how long that takes"


def no_prices(variant_keys: Collection[str]) -> str:
    """Say that nothing will be known of what these variants cost."""
    return f"no endpoint of {', '.join(map(repr, variant_keys))} has prices: cost stays without values"


def ab_test_plan(
    definition: ABTestDefinition, traffic: Traffic, unpriced: Collection[str] = ()
) -> Iterator[Detectable]:
    """Return which effect on each goal is found by the planned end, looked at always and only then.

    ``unpriced`` are the variants of which no endpoint has prices.
    """
    seconds = definition.planned_duration_minutes * 60
    comparisons = len(definition.goals) * (len(definition.variants) - 1)
    control = definition.variants[0]
    for treatment in definition.variants[1:]:
        both = treatment.weight + control.weight
        without = [variant.key for variant in (control, treatment) if variant.key in unpriced]
        units = traffic.requests_per_second * seconds * definition.traffic_share * both
        for metric in map(definition.metric, definition.goals):
            for method in (Method.SEQUENTIAL, Method.FIXED_HORIZON):
                design = _design(
                    metric,
                    traffic,
                    share=treatment.weight / both,
                    alpha=definition.alpha / comparisons,
                    method=method,
                )
                if without and measures_cost(metric):
                    design = Insufficient(no_prices(without))
                hours = definition.planned_duration_minutes / 60
                yield _of_test(metric, treatment.key, design, units, hours, method)


def measures_cost(metric: Metric) -> bool:
    """Say whether a metric has values only where there are prices."""
    return "cost" in (metric.source, metric.denominator)


def _design(
    metric: Metric, traffic: Traffic, *, share: float, alpha: float, method: Method
) -> tuple[Design, str] | Insufficient:
    """Return the design, and the unit of its effects."""
    if metric.kind == "quantile":
        return Insufficient("how a quantile varies is not known before there is data")
    if metric.kind != "proportion":
        return Design(mean_variance(1.0, 1.0, share), alpha, method), "standard deviations"
    rates = {"error": traffic.error_rate, "content_filter": traffic.content_filter_rate}
    rate = rates.get(metric.source, UNKNOWN_RATE) if metric.per == "request" else UNKNOWN_RATE
    rate = min(max(rate, 1e-4), 1 - 1e-4)
    return Design(proportion_variance(rate, rate, share), alpha, method), "fraction"


def _of_test(
    metric: Metric,
    treatment: str,
    design: tuple[Design, str] | Insufficient,
    units: float,
    hours: float,
    method: Method,
) -> Detectable:
    looked = "at any time" if method is Method.SEQUENTIAL else "once, at the end"
    question = f"the smallest effect that is found by the planned end, looked at {looked}"
    if isinstance(design, Insufficient):
        return _unknown(metric.key, treatment, question, design.reason)
    if units < 2:
        return _unknown(metric.key, treatment, question, NO_TRAFFIC)
    effect = design[0].minimum_detectable_effect(units, POWER)
    if isinstance(effect, Insufficient):
        return _unknown(metric.key, treatment, question, effect.reason)
    size = (
        f"{100 * effect:.2f} percentage points"
        if design[1] == "fraction"
        else f"{effect:.3f} standard deviations"
    )
    return Detectable(
        metric=metric.key,
        variant=treatment,
        question=question,
        effect=effect,
        unit=design[1],
        units=round(units),
        hours=hours,
        method=method.value,
        sentence=(
            f"{metric.key}: {size}, looked at {looked}, with {POWER:.0%} probability, "
            f"from {units:,.0f} units of both{_provided(metric)}"
        ),
        insufficient=None,
    )


def _provided(metric: Metric) -> str:
    """What has to be so for the effect to be found."""
    if metric.source.startswith(FEEDBACK):
        return ", if every one of them is reported on"
    return ", if each request comes from another unit" if metric.source != "requests" else ""


def _unknown(metric: str, variant: str, question: str, reason: str) -> Detectable:
    return Detectable(
        metric=metric,
        variant=variant,
        question=question,
        effect=None,
        unit="",
        units=None,
        hours=None,
        method="",
        sentence=f"{question}: {reason}",
        insufficient=reason,
    )


def duration(minutes: float) -> str:
    """Return a length of time as people say it."""
    if minutes < 2:
        return f"{math.ceil(minutes * 60)} seconds"
    if minutes < 120:
        return f"{math.ceil(minutes)} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 1440:,.0f} days"


def _about(hours: float | None) -> str:
    return "" if hours is None else f", {duration(60 * hours)}"
