"""What callers send to draft a blue-green deployment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, ConfigDict, Field

from services.api.canary_bodies import KillSwitchBody, PolicyBody, SequentialPolicyBody
from services.api.schemas import Body, Key, VerbBody, storable
from services.domain.experiment import BlueGreenDefinition
from services.domain.health_check import (
    DEFAULT_CHECKS,
    MAX_ATTEMPTS,
    MAX_CHECKS,
    MAX_PATTERN,
    SOME_TEXT,
    HealthCheck,
    Surface,
)
from services.domain.restraint import Mode

_DEFAULT = BlueGreenDefinition(treatment="")
_CHECK = HealthCheck(name="")

Storable = Annotated[dict[str, Any], AfterValidator(storable)]


class ContentBody(Body):
    """What an answer must hold; everything that is given must be true."""

    contains: str | None = Field(
        default=None, max_length=10_000, description="The text of the answer contains this"
    )
    regex: str | None = Field(
        default=None, max_length=MAX_PATTERN, description="The text of the answer matches this somewhere"
    )
    fields: Storable = Field(
        default={},
        description="The answer's JSON has these values, by JSON pointer: `/choices/0/finish_reason`",
    )


class HealthCheckBody(Body):
    """One kind of request that the deployed variant must answer as expected, each time."""

    name: str = Field(min_length=1, max_length=100)
    surface: Surface = _CHECK.surface
    body: Storable = Field(
        default=_CHECK.body, description="The request without its model, which is the route"
    )
    attempts: int = Field(default=_CHECK.attempts, ge=1, le=MAX_ATTEMPTS, description="How often it is sent")
    expect_status: int = _CHECK.expect_status
    max_latency_seconds: float = Field(
        default=_CHECK.max_latency_seconds, description="From sending the request to the end of its answer"
    )
    expect_content: ContentBody = Field(
        default=ContentBody(regex=SOME_TEXT.regex), description="By default some text"
    )


_DEFAULT_CHECKS = [HealthCheckBody(**msgspec.to_builtins(check)) for check in DEFAULT_CHECKS]


class NewBlueGreen(Body):
    """A blue-green deployment to draft: a variant that is deployed, checked, and switched to at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "chat-next-model",
                "route": "chat",
                "kind": "blue_green",
                "treatment": "next-model",
                "checks": [
                    {
                        "name": "knows the capital of France",
                        "body": {"messages": [{"role": "user", "content": "What is the capital of France?"}]},
                        "attempts": 3,
                        "max_latency_seconds": 10,
                        "expect_content": {"contains": "Paris"},
                    }
                ],
                "holdback_share": 0.05,
                "watch_minutes": 30,
            }
        }
    )
    key: Key
    route: str
    kind: Literal["blue_green"]
    treatment: str = Field(description="The variant to deploy to the idle slot")
    checks: Annotated[list[HealthCheckBody], Field(min_length=1, max_length=MAX_CHECKS)] = Field(
        default=_DEFAULT_CHECKS, description="By default: it answers a question, whole and streamed"
    )
    checks_within_seconds: float = Field(
        default=_DEFAULT.checks_within_seconds, description="The time that all checks together have"
    )
    holdback_share: float = Field(
        default=_DEFAULT.holdback_share,
        description="The share that the old variant keeps after the switch, to watch the new one; 0: none",
    )
    watch_minutes: int = Field(
        default=_DEFAULT.watch_minutes,
        description="How long the new variant is watched, and rolled back by the guardrails",
    )
    policy: PolicyBody = SequentialPolicyBody()
    kill_switch: KillSwitchBody = KillSwitchBody()
    lease_limit_seconds: float = _DEFAULT.lease_limit_seconds
    mode: Mode = Field(
        default=_DEFAULT.mode,
        description="`observe`: everything is computed and shown, and nothing is done by itself",
    )

    @property
    def definition(self) -> BlueGreenDefinition:
        """The deployment as the domain defines it."""
        return msgspec.convert(self.model_dump(exclude={"key", "route", "kind"}), BlueGreenDefinition)


class RollbackBody(VerbBody):
    """Whether to go back to a slot that may not be healthy."""

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "customers complain"}})
    override: bool = Field(
        default=False,
        description="Of a blue-green deployment: go back at once, without checking the previous slot",
    )
