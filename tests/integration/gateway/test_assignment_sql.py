"""The line of SQL in docs/assignment.md gives every unit the place that Python gives it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from services.embedded.databases import connection_string
from tests.unit.domain.test_assignment import VECTORS

DOCUMENT = Path(__file__).parents[3] / "docs" / "assignment.md"


def test_sql_and_python_agree(postgres: str) -> None:
    found = re.search(r"```sql\nSELECT (.+)\n```", DOCUMENT.read_text())
    assert found is not None
    given = "(SELECT %s::text AS salt, %s::text AS unit) AS given"
    query = f"SELECT {found[1]} FROM {given}"  # noqa: S608 - the document is ours
    with psycopg.connect(connection_string(postgres)) as connection:
        for vector in VECTORS["choices"]:
            row = connection.execute(query, (vector["salt"], vector["unit_id"])).fetchone()
            assert row == (vector["basis_point"],), vector
