"""What each kind of experiment makes of the verbs that all of them have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.api import ab_tests, blue_greens, canaries, shadows
from services.api.changes import Change
from services.domain.experiment import ExperimentKind

Act = Callable[[Change], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """The verbs of one kind. ``to_promote`` returns the variant that a promotion must name, if it must."""

    start: Act
    pause: Act
    resume: Act
    stop: Act
    to_promote: Callable[[Change, str | None], str | None]


PATTERNS: Mapping[ExperimentKind, Pattern] = {
    "canary": Pattern(canaries.start, canaries.pause, canaries.resume, canaries.stop, canaries.to_promote),
    "ab_test": Pattern(ab_tests.start, ab_tests.pause, ab_tests.resume, ab_tests.stop, ab_tests.to_promote),
    "shadow": Pattern(shadows.start, shadows.pause, shadows.resume, shadows.stop, shadows.to_promote),
    "blue_green": Pattern(
        blue_greens.start, blue_greens.refuse, blue_greens.refuse, blue_greens.stop, blue_greens.to_promote
    ),
}


def pattern_of(change: Change) -> Pattern:
    """Return what the verbs do to the experiment under change."""
    return PATTERNS[change.experiment.kind]
