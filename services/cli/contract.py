"""``headgate contract``: the tables that analysts read, described by their comments in the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage import contract
from services.storage.contract import READER, RELATIONS, Described
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

_HEAD = f"""# Tables for analysts

What is named here is a contract: it changes with notice, and columns are only added. Everything else in the
database may change with any release. Times are UTC, rates are fractions, durations have a unit in their name.
[analysis.md](analysis.md) goes from a question to an answer with them.

This page is `headgate contract`: the comments of the database itself, which `\\d+` shows in psql as well.

The role `{READER}` may read all of it and nothing else: `GRANT {READER} TO alice;`. `headgate migrate`
creates it where its user may create roles. Where it may not, run this as somebody who may:

```sql
CREATE ROLE {READER} NOLOGIN;
GRANT SELECT ON
    {{relations}}
TO {READER};
```
"""


async def describe(settings: DatabaseSettings) -> str:
    """Return the page, as the database at these settings says it."""
    engine = create_engine(settings, application_name="headgate-contract")
    try:
        async with engine.connect() as connection:
            return await render(connection)
    finally:
        await engine.dispose()


async def render(connection: AsyncConnection) -> str:
    """Return the page as Markdown."""
    relations, functions = await contract.describe(connection)
    head = _HEAD.format(relations=",\n    ".join(RELATIONS))
    return "\n".join([head, *_relations(relations), *_functions(functions)])


def _relations(relations: Iterable[Described]) -> Iterator[str]:
    for relation in relations:
        yield f"## {relation.name}\n\n{relation.comment}\n"
        yield "| column | type | |\n|---|---|---|"
        for name, kind, comment in relation.columns:
            yield f"| `{name}` | {_short(kind)} | {_cell(comment)} |"
        yield ""


def _functions(functions: Iterable[Described]) -> Iterator[str]:
    yield "## Functions\n\n| function | |\n|---|---|"
    for function in functions:
        yield f"| `{function.name}` | {_cell(function.comment)} |"
    yield ""


def _short(kind: str) -> str:
    return kind.replace("timestamp with time zone", "timestamptz")


def _cell(comment: str) -> str:
    """A comment as one cell of a table; what is in angle brackets would be taken for HTML."""
    return comment.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
