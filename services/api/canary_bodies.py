"""What callers send to draft a canary."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import ConfigDict, Discriminator, Field, PlainValidator, Tag

from services.api.schemas import Body, Key
from services.api.sentences import UNION_TAG
from services.domain.canary import (
    CanaryDefinition,
    CanaryPlan,
    DeadlinePolicy,
    GuardrailMetric,
    KillSwitch,
    SequentialPolicy,
    ThresholdPolicy,
)
from services.domain.configuration import OnBlind
from services.domain.restraint import Mode
from services.domain.watch_plan import DEFAULT_WATCH


def _is_point(point: Any) -> Any:
    if point == "promote" or (isinstance(point, int) and not isinstance(point, bool)):
        return point
    raise ValueError("must be the index of a step, or 'promote'")


_Point = Annotated[
    int | Literal["promote"],
    PlainValidator(_is_point, json_schema_input_type=int | Literal["promote"]),
]


class PlanBody(Body):
    """How a canary goes up."""

    steps: list[float] = Field(default=list(CanaryPlan().steps))
    step_minimum_seconds: float = CanaryPlan().step_minimum_seconds
    step_minimum_units: int = CanaryPlan().step_minimum_units
    planned_duration_minutes: int = CanaryPlan().planned_duration_minutes
    deadline_policy: DeadlinePolicy = Field(
        default=CanaryPlan().deadline_policy,
        description="What to do once the planned duration has passed and the evidence is not enough",
    )
    deadline_no_data: DeadlinePolicy = Field(
        default="hold", description="The same where nothing was counted, which says neither good nor bad"
    )
    approve_before: Annotated[list[_Point], Field(max_length=100)] = Field(
        default=[],
        description="Where it waits for POST /approve: before steps, by their index in `steps`, or `promote`",
    )
    holdback_share: float = Field(
        default=DEFAULT_WATCH.holdback_share,
        description="The share that the old variant keeps after the promotion, to watch the new one; 0: none",
    )
    watch_minutes: int = Field(
        default=DEFAULT_WATCH.watch_minutes,
        description="How long the promoted variant is watched, and rolled back by the same guardrails",
    )


class GuardrailBody(Body):
    """A metric that can only stop."""

    metric: GuardrailMetric = "error_rate"
    margin: float = 0.0


class SequentialPolicyBody(Body):
    """Decide on always-valid evidence."""

    type: Literal["sequential"] = "sequential"
    alpha_rollback: float = SequentialPolicy().alpha_rollback
    alpha_promote: float = SequentialPolicy().alpha_promote
    margin_promote: float = SequentialPolicy().margin_promote
    guardrails: list[GuardrailBody] = Field(default=[GuardrailBody()])


class ThresholdPolicyBody(Body):
    """Decide by a windowed rule."""

    type: Literal["threshold"]
    window_minutes: int = ThresholdPolicy().window_minutes
    interval_seconds: float = ThresholdPolicy().interval_seconds
    margin: float = ThresholdPolicy().margin
    minimum_requests: int = ThresholdPolicy().minimum_requests


class KillSwitchBody(Body):
    """Pull the treatment at once when it alone is down."""

    error_rate: float = KillSwitch().error_rate
    minimum_requests: int = KillSwitch().minimum_requests


def _policy_type(policy: Any) -> str:
    if isinstance(policy, dict):
        return str(policy.get("type", "sequential"))
    return getattr(policy, "type", "sequential")


PolicyBody = Annotated[
    Annotated[SequentialPolicyBody, Tag("sequential")] | Annotated[ThresholdPolicyBody, Tag("threshold")],
    Discriminator(
        _policy_type,
        custom_error_type=UNION_TAG,
        custom_error_message="must be 'sequential' or 'threshold'",
        custom_error_context={"field": "type"},
    ),
]


class NewCanary(Body):
    """A canary to draft. Its control is the route's stable variant at the moment it is started."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "chat-new-model",
                "route": "chat",
                "kind": "canary",
                "treatment": "new-model",
                "plan": {"steps": [0.05, 0.25, 0.5], "step_minimum_seconds": 300},
                "policy": {"type": "sequential", "alpha_rollback": 0.01},
            }
        }
    )
    key: Key
    route: str
    kind: Literal["canary"] = "canary"
    treatment: str
    plan: PlanBody = PlanBody()
    policy: PolicyBody = SequentialPolicyBody()
    kill_switch: KillSwitchBody = KillSwitchBody()
    on_blind: OnBlind = "control"
    lease_limit_seconds: float = CanaryDefinition(treatment="").lease_limit_seconds
    mode: Mode = Field(
        default=CanaryDefinition(treatment="").mode,
        description="`observe`: everything is computed and shown, and nothing is done by itself",
    )

    @property
    def definition(self) -> CanaryDefinition:
        """The canary as the domain defines it."""
        return msgspec.convert(self.model_dump(exclude={"key", "route", "kind"}), CanaryDefinition)
