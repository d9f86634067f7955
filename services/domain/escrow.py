"""How a limit is shared by replicas that hear of each other's consumption a little late.

Each replica knows exactly what it used itself, and of the others what it has **heard**. All replicas hear the
same records in the same order, their own included, so "heard" means the same everywhere but for the few
milliseconds that a record takes. What a replica used and has not heard of itself yet is *unheard*: the others
cannot know of it.

While they hear each other (*together*), with a remainder of ``limit - heard``:

1. A replica alone admits whatever fits.
2. Otherwise it admits at once while its unheard consumption stays within ``remainder / (2 R)``. All R
   replicas at once then use half of the remainder at the most, and the other half is room for those that
   have heard of it already. To overspend, the others would have to use up that half while one replica's beat
   is missing, which takes them more than R beats.
3. What does not fit in there, but in the remainder, is **claimed**: booked, told at once, and admitted when
   it has been heard and everything heard until then is still within the limit. The order of the log decides
   between claims, so none of a small remainder is stranded and none of it is used twice.

While they do not (*apart*), each may use its part of the remainder as it was last heard, ``remainder / R``;
the parts add up to the remainder exactly. What was heard leaves the window within a minute: the part is then
``limit / R``.
"""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """What may be done about a request."""

    ADMIT = 0
    CLAIM = 1
    REFUSE = 2


class Standing:
    """How this replica stands to the others. ``divisor`` is what quick checks divide the remainder by."""

    __slots__ = ("divisor", "rank", "replicas", "together")

    def __init__(self, replicas: int = 1, rank: int = 0, *, together: bool = True) -> None:
        self.set(replicas, rank, together=together)

    def set(self, replicas: int, rank: int, *, together: bool) -> None:
        """``rank`` is this replica's place among the ``replicas``, from 0."""
        self.replicas = replicas
        self.rank = min(rank, replicas - 1)
        self.together = together
        self.divisor = 1 if replicas == 1 else 2 * replicas if together else replicas

    def part_of(self, amount: int) -> int:
        """Return this replica's part of an amount; the parts of all replicas add up to it."""
        return (amount + self.replicas - 1 - self.rank) // self.replicas

    def judge(self, used: int, heard: int, cost: int, limit: int) -> Verdict:
        """Decide about using ``cost`` more, where ``used`` is known to be used and ``heard`` of it heard."""
        fits = used + cost <= limit
        if self.together:
            if not fits:
                return Verdict.REFUSE
            quick = (used - heard + cost) * self.divisor <= limit - heard
            return Verdict.ADMIT if quick or self.replicas == 1 else Verdict.CLAIM
        own_part = used - heard + cost <= self.part_of(max(limit - heard, 0))
        return Verdict.ADMIT if fits and own_part else Verdict.REFUSE

    def allowance(self, used: int, heard: int, limit: int) -> int:
        """Return how much more may be used here; what may be claimed is in it."""
        left = limit - used
        if not self.together:
            left = min(left, self.part_of(max(limit - heard, 0)) - (used - heard))
        return max(left, 0)
