"""How endpoints are kept away from and come back, as callers define it (docs/reliability.md)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from services.domain.configuration import BreakerSettings, ProbeSettings

_DEFAULT = BreakerSettings()
_Seconds = Annotated[float, Field(gt=0, le=3_600)]
_Count = Annotated[int, Field(ge=1, le=1_000_000)]


class BreakerBody(BaseModel):
    """When an endpoint's breaker opens, and how it closes again."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    window_seconds: _Seconds = _DEFAULT.window_seconds
    minimum_requests: _Count = _DEFAULT.minimum_requests
    error_ratio: Annotated[float, Field(gt=0, le=1)] = _DEFAULT.error_ratio
    consecutive_failures: _Count = _DEFAULT.consecutive_failures
    open_seconds: _Seconds = _DEFAULT.open_seconds
    longest_open_seconds: _Seconds = _DEFAULT.longest_open_seconds
    trial_requests: _Count = _DEFAULT.trial_requests
    successes_to_close: _Count = _DEFAULT.successes_to_close

    @classmethod
    def of(cls, settings: BreakerSettings | None) -> BreakerBody | None:
        """Return the settings as callers see them; None for the defaults."""
        return None if settings is None else cls(**msgspec.structs.asdict(settings))


class ProbeBody(BaseModel):
    """A GET that each gateway process asks of the endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    path: str = Field(
        pattern=r"^/[!-~]*$", max_length=1_000, description="Appended to the base URL, such as /models"
    )
    interval_seconds: Annotated[float, Field(ge=0.1, le=3_600)] = ProbeSettings(path="").interval_seconds
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = ProbeSettings(path="").timeout_seconds
    expect_status: Annotated[int, Field(ge=100, le=599)] = ProbeSettings(path="").expect_status

    @classmethod
    def of(cls, settings: ProbeSettings | None) -> ProbeBody | None:
        """Return the settings as callers see them."""
        return None if settings is None else cls(**msgspec.structs.asdict(settings))
