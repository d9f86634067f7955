"""The self-test: what every policy does on simulated traffic whose truth is known.

`characteristics(scenarios())` yields one row for each scenario and policy, as they are done: how often it
acts wrongly, beside what is promised, and how many requests it takes, beside the fewest that any test
could need. Policies without a claim are there for contrast.
"""

from analytics.characteristics.latency import interval_scenarios, latency_scenarios
from analytics.characteristics.promotion import promotion_scenarios
from analytics.characteristics.ratio import ratio_scenarios
from analytics.characteristics.rollback import rollback_scenarios
from analytics.characteristics.runs import AnyScenario, Policy, Scenario, characteristics
from analytics.characteristics.summary import REQUESTS_WITHIN, Characteristic, Claim

__all__ = [
    "REQUESTS_WITHIN",
    "AnyScenario",
    "Characteristic",
    "Claim",
    "Policy",
    "Scenario",
    "characteristics",
    "scenarios",
]


def scenarios() -> list[AnyScenario]:
    """All scenarios of the self-test, in the order in which they are shown."""
    return [
        *rollback_scenarios(),
        *latency_scenarios(),
        *promotion_scenarios(),
        *ratio_scenarios(),
        *interval_scenarios(),
    ]
