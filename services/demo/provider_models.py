"""The simulated models: how each behaves now, and what it has done so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from services.demo.provider_behaviour import Behaviour, Fate, Fault, Luck, behaviour_of

_FAILED = (
    frozenset(Fault)
    - {Fault.BAD_REQUEST, Fault.UNPROCESSABLE, Fault.CONTENT_FILTER}
    - {Fault.CONTENT_FILTER_400, Fault.SLOW}
)


class Stats(msgspec.Struct):
    """Counts of one model. Times are seconds since the epoch."""

    requests: int = 0
    errors: int = 0
    faults: dict[str, int] = {}
    first_request_at: float | None = None
    last_request_at: float | None = None
    first_error_at: float | None = None
    last_error_at: float | None = None

    def count(self, fault: Fault | None, now: float) -> None:
        """Count a request."""
        self.requests += 1
        self.first_request_at = self.first_request_at or now
        self.last_request_at = now
        if fault is None:
            return
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if fault in _FAILED:
            self.errors += 1
            self.first_error_at = self.first_error_at or now
            self.last_error_at = now


@dataclass(slots=True)
class Model:
    """One simulated model."""

    name: str
    behaviour: Behaviour
    luck: Luck
    stats: Stats = field(default_factory=Stats)

    def meet(self, wanted: Fault | None) -> Fate:
        """Return the next request's fate, and count it."""
        fate = self.luck.draw(self.behaviour)
        if wanted is not None:
            fate = Fate(wanted, fate.latency_seconds)
        self.stats.count(fate.fault, time.time())
        return fate


class Models:
    """All models asked for so far; each comes to be when it is first named."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._models: dict[str, Model] = {}

    def named(self, name: str) -> Model:
        """Return the model. Raises ValueError where its name carries settings that cannot be read."""
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = Model(name, behaviour_of(name), Luck(self._seed, name))
        return model

    def stats(self) -> dict[str, Stats]:
        """Return what each model has done."""
        return {name: model.stats for name, model in self._models.items()}

    def reset(self) -> None:
        """Forget counts, control and luck."""
        self._models.clear()
