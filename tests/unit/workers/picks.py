"""Many small choices out of one drawn value: each drawn by itself takes most of a test's time."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Picks:
    """Choices that a few drawn bytes make; of bytes that are 0 always the first."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = iter(drawn)

    def one(self, options: Sequence[T]) -> T:
        """One of at most 256 options."""
        return options[next(self._drawn) % len(options)]

    def some(self, options: Sequence[T]) -> list[T]:
        """Any of the options, in their order or turned round."""
        kept = [option for option in options if self.one((False, True))]
        return kept[:: self.one((1, -1))]


picks = st.binary(min_size=32, max_size=32).map(Picks)
