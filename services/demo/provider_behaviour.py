"""How a simulated model behaves, and which fate each request to it meets.

A model's name may carry its behaviour: ``sim:error_rate=0.3,latency_ms=20``. What is put at
``/control/{model}`` replaces it while the provider runs. One request chooses its own fate with
``x-sim-fault: hang`` or, through a gateway, with ``"metadata": {"sim_fault": "hang"}`` in its body.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from random import Random

import msgspec


class Fault(StrEnum):
    """What can become of a request."""

    ERROR = "error"
    ERROR_INSIDE = "error_inside"
    """An error in an answer that began as a good one."""
    OVERLOADED = "overloaded"
    RATE_LIMIT = "rate_limit"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    UNPROCESSABLE = "unprocessable"
    CONTENT_FILTER = "content_filter"
    CONTENT_FILTER_400 = "content_filter_400"
    TIMEOUT_408 = "timeout_408"
    HANG = "hang"
    REFUSE = "refuse"
    GARBAGE = "garbage"
    WRONG_LENGTH = "wrong_length"
    """More comes than was announced."""
    TRUNCATED = "truncated"
    """Half an answer, ended as if it were a whole one."""
    BROKEN = "broken"
    """Half an answer, then the connection ends."""
    BROKEN_EARLY = "broken_early"
    """The head of an answer, then the connection ends."""
    STALL = "stall"
    """Half an answer, then silence."""
    SLOW = "slow"
    """The head of an answer at once, its first byte after ``slow_ms``."""


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates are fractions of requests. Latency is log-normal around its median."""

    error_rate: float = 0.0
    error_status: int = 500
    rate_limit_rate: float = 0.0
    content_filter_rate: float = 0.0
    hang_rate: float = 0.0
    refuse_rate: float = 0.0
    broken_rate: float = 0.0
    latency_ms: float = 0.0
    latency_sigma: float = 0.3
    token_ms: float = 0.0
    tokens: int = 16
    cached_fraction: float = 0.0
    """Of the prompt's tokens: what is said to have been in the provider's cache."""
    slow_ms: float = 1_000.0


_RATES = (
    (Fault.ERROR, "error_rate"),
    (Fault.RATE_LIMIT, "rate_limit_rate"),
    (Fault.CONTENT_FILTER, "content_filter_rate"),
    (Fault.HANG, "hang_rate"),
    (Fault.REFUSE, "refuse_rate"),
    (Fault.BROKEN, "broken_rate"),
)


def behaviour_of(model: str) -> Behaviour:
    """Return the behaviour that a model's name carries. Raises ValueError where it cannot be read."""
    _, _, given = model.partition(":")
    settings = dict(_setting(one) for one in given.split(",")) if given else {}
    try:
        return msgspec.convert(settings, Behaviour, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"model {model!r}: {error}; {_OPTIONS}") from None


_OPTIONS = f"the options are {', '.join(Behaviour.__struct_fields__)}"


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not name=value; {_OPTIONS}")
    return name.strip(), value.strip()


@dataclass(frozen=True, slots=True)
class Fate:
    """What one request meets."""

    fault: Fault | None
    latency_seconds: float


class Luck:
    """Draws fates, the same ones in the same order for the same seed."""

    def __init__(self, seed: int, model: str) -> None:
        self._random = Random(f"{seed}:{model}")

    def draw(self, behaviour: Behaviour) -> Fate:
        """Return the next request's fate."""
        return Fate(self._fault(behaviour), self._latency(behaviour))

    def _fault(self, behaviour: Behaviour) -> Fault | None:
        place = self._random.random()
        for fault, rate in _RATES:
            place -= getattr(behaviour, rate)
            if place < 0:
                return fault
        return None

    def _latency(self, behaviour: Behaviour) -> float:
        if behaviour.latency_ms <= 0:
            return 0.0
        return behaviour.latency_ms / 1000 * math.exp(self._random.gauss(0.0, behaviour.latency_sigma))
