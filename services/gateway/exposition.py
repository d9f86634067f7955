"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family(msgspec.Struct):
    """One metric with all its samples, each a finished line."""

    name: str
    kind: Kind
    help: str
    lines: list[str] = []


class Figures:
    """Collects samples. ``common`` labels are on each of them."""

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = dict(common)
        self.families: list[Family] = []

    def family(self, name: str, kind: Kind, help_: str) -> None:
        """Begin a metric; the samples that follow are its."""
        self.families.append(Family(name, kind, help_, []))

    def sample(self, value: float, suffix: str = "", **labels: str) -> None:
        """Add a sample."""
        family = self.families[-1]
        pairs = ",".join(
            f'{name}="{text.translate(_ESCAPES)}"' for name, text in (self._common | labels).items()
        )
        braced = f"{{{pairs}}}" if pairs else ""
        family.lines.append(f"{family.name}{suffix}{braced} {_number(value)}")

    def single(self, name: str, kind: Kind, help_: str, value: float) -> None:
        """Add a metric of one sample."""
        self.family(name, kind, help_)
        self.sample(value)


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)


def render(reports: Iterable[Iterable[Family]]) -> bytes:
    """Return the page, with the samples of each metric together whichever report they are from."""
    merged: dict[str, Family] = {}
    for report in reports:
        for family in report:
            held = merged.setdefault(family.name, Family(family.name, family.kind, family.help, []))
            held.lines.extend(family.lines)
    lines: list[str] = []
    for family in merged.values():
        lines.append(f"# HELP {family.name} {family.help.translate(_HELP_ESCAPES)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines.extend(family.lines)
    return "".join([f"{line}\n" for line in lines]).encode()
