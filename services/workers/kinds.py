"""Outcomes of one kind, with the same route, variant and assignments: what these say is worked out once.

Kinds have numbers, which become a column. They are the same for all partitions, so few that they stay in the
processor's caches while a thousand experiments run.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from sys import intern

import msgspec

from services.domain.assignment import BASIS_POINTS
from services.domain.events import AssignedTo
from services.messaging.codec import OutcomeView, decode_assignments
from services.workers.ledgers import MOST_VARIANTS

KINDS_KEPT = 50_000
"""Beyond so many, kinds are forgotten and found anew."""

_route = attrgetter("route_key")
_variant = attrgetter("variant_key")
_assignments = attrgetter("assignments")


class Kind:
    """A route, the variant that served, and assignments. ``problem`` says why such outcomes cannot count."""

    __slots__ = ("assignments", "problem", "route_key", "variant_key")

    def __init__(self, route_key: str, variant_key: str, raw: bytes) -> None:
        self.route_key = route_key
        self.variant_key = variant_key
        self.assignments: tuple[AssignedTo, ...] = ()
        self.problem: str | None
        try:
            self.assignments = decode_assignments(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.problem = f"not assignments: {error}"
        else:
            self.problem = assignment_problem(self.assignments)


class Kinds(dict[tuple[str, str, bytes], int]):
    """The number of each kind, in the order in which they first came."""

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Kind] = []
        self.problems: set[int] = set()
        """Kinds that cannot count."""

    def __missing__(self, key: tuple[str, str, bytes]) -> int:
        route_key, variant_key, raw = key
        # The same route's key is the same text in all of its kinds, and is looked at for each outcome.
        route_key, variant_key = intern(route_key), intern(variant_key)
        kind = Kind(route_key, variant_key, raw)
        number = self[route_key, variant_key, raw] = len(self.known)
        self.known.append(kind)
        if kind.problem is not None:
            self.problems.add(number)
        return number

    def of(self, outcomes: Sequence[OutcomeView]) -> list[int]:
        """Return the number of each outcome's kind."""
        raws = map(bytes, map(_assignments, outcomes))
        return list(
            map(self.__getitem__, zip(map(_route, outcomes), map(_variant, outcomes), raws, strict=True))
        )

    def kept(self) -> Kinds:
        """Return these, or none where they became too many."""
        return self if len(self) <= KINDS_KEPT else Kinds()


def assignment_problem(assignments: Sequence[AssignedTo]) -> str | None:
    """Say why nothing can be counted for assignments; None where it can."""
    for assigned in assignments:
        if not 0 < assigned.propensity_bp < BASIS_POINTS:
            return (
                f"propensity {assigned.propensity_bp} of {BASIS_POINTS}: a unit that could not have got the "
                "other variant is not randomised and must carry no assignment"
            )
        if not 0 <= assigned.variant_number < MOST_VARIANTS:
            return f"variant {assigned.variant_number}: no experiment has more than {MOST_VARIANTS}"
    return None
