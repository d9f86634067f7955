"""Documents whose code is run: every block of SQL or Python, and what it shows in the block after it.

A block of ``sql`` or ``python`` may be followed by one of ``text`` that holds its output: a table as psql
prints it, or what was printed. Python blocks share their names, as if typed one after the other.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

_BLOCK = re.compile(
    r"^```(?P<language>sql|python)\n(?P<code>.*?)^```\n(?P<between>\n*)(?:^```text\n(?P<shown>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


def executed(document: str, database_url: str) -> str:
    """Run every block and return the document with the outputs as they came out."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    names: dict[str, Any] = {}

    def run(block: re.Match[str]) -> str:
        if block["language"] == "sql":
            output = _table(engine, block["code"])
        else:
            output = _printed(block["code"], names)
        code = f"```{block['language']}\n{block['code']}```\n{block['between']}"
        return code if block["shown"] is None else f"{code}```text\n{output}```\n"

    found = _BLOCK.sub(run, document)
    for value in names.values():
        if isinstance(value, sa.Engine):
            value.dispose()
    return found


def _printed(code: str, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "document", "exec"), names)  # noqa: S102 - the repository's own document
    return "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())


def _table(engine: sa.Engine, query: str) -> str:
    with engine.connect() as connection:
        result = connection.exec_driver_sql(query)
        names, rows = list(result.keys()), [tuple(row) for row in result]
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(names, *cells, strict=True)]
    is_number = [all(_is_number(value) for value in column)
                 for column in zip(*rows, strict=True)]  # fmt: skip
    return "".join(f"{line.rstrip()}\n" for line in _lines(names, cells, widths, is_number))


def _lines(
    names: list[str], cells: list[list[str]], widths: list[int], is_number: list[bool]
) -> Iterator[str]:
    yield "|".join(f" {name.center(width)} " for name, width in zip(names, widths, strict=True))
    yield "+".join("-" * (width + 2) for width in widths)
    for row in cells:
        yield "|".join(
            f" {cell.rjust(width) if right else cell.ljust(width)} "
            for cell, width, right in zip(row, widths, is_number, strict=True)
        )
    yield f"({len(cells)} row{'s' if len(cells) != 1 else ''})"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, dict | list):
        return json.dumps(value)
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
