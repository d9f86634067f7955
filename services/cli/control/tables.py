"""Tables and sentences for people. What comes from the api is shown as text: no markup, no control codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Item = Mapping[str, Any]
Columns = Mapping[str, Callable[[Item], object]]

_WIDTH_OF_A_FILE = 500
"""Where nobody's terminal sets a width no line is broken, so that ``grep`` finds whole rows."""


def console() -> Console:
    """Return where people read."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    return Console(width=width, markup=False, highlight=False, emoji=False)


def print_table(columns: Columns, items: Iterable[Item], *, nothing: str = "") -> None:
    """Print a row for each item, or ``nothing`` where there is none."""
    rows = [[text(cell(item)) for cell in columns.values()] for item in items]
    if rows:
        print_rows(list(columns), rows)
    elif nothing:
        console().print(nothing)


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under their titles."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values beside each other, leaving out what has no value."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        if value not in (None, ""):
            table.add_row(name, text(value))
    console().print(table)


def print_heading(heading: str) -> None:
    """Print what the next table is about."""
    console().print(f"\n{heading}", style="bold")


def field(name: str) -> Callable[[Item], object]:
    """Return what shows a field as it is."""
    return lambda item: item.get(name)


def text(value: object) -> str:
    """Return a value as a person reads it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.6g}"
        case list() | tuple():
            return ", ".join(text(one) for one in value)
        case _:
            return "".join(one if one.isprintable() or one == "\n" else " " for one in str(value))


def percent(share: float | None) -> str:
    """Return a fraction as a percentage, without digits that say nothing."""
    return "–" if share is None else f"{share * 100:.4g} %"


def moment(value: str | None) -> str:
    """Return an instant to the second, in UTC as everywhere, as the api takes it."""
    if value is None:
        return "–"
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
