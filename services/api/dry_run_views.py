"""What a dry-run tells."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Obstacle(BaseModel):
    """What is wrong, and which step it stands in the way of."""

    blocks: Literal["create", "start"]
    field: str | None
    message: str


class TrafficSeen(BaseModel):
    """The route's traffic that the times below are worked out from."""

    hours: float
    requests: int
    requests_per_second: float
    error_rate: float | None
    latency_mean_seconds: float | None


class Detectable(BaseModel):
    """How long it takes to find an effect, or which effect is found by the planned end."""

    metric: str
    variant: str
    question: str
    effect: float | None = Field(description="In `unit`")
    unit: str
    units: int | None = Field(description="Units of the treatment and the control together")
    hours: float | None
    method: str
    sentence: str
    insufficient: str | None


class DryRun(BaseModel):
    """What an experiment would do, how soon it could find what, and what is wrong with it."""

    could_be_created: bool
    could_be_started: bool
    obstacles: list[Obstacle]
    warnings: list[str]
    it_would: list[str]
    traffic: TrafficSeen | None
    detectable: list[Detectable]
