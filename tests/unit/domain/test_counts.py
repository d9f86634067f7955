"""Counts as columns: the same numbers as the rows they came from."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from analytics.columns import Columns, columns_of
from analytics.evidence import TickCounts
from services.domain.counts import Count, CountRow, CountTable, event_columns, first_errors, latencies
from services.domain.events import Role

numbers = st.integers(0, 10**12)
rows = st.builds(
    CountRow,
    tick=st.integers(0, 5),
    treatment_share_bp=st.sampled_from([0, 500, 5_000]),
    role=st.sampled_from(list(Role)),
    requests=st.integers(100, 200),
    errors=st.integers(0, 100),
    variant_index=st.integers(0, 3),
    **dict.fromkeys(
        (
            "first_errors",
            "content_filters",
            "first_content_filters",
            "first_requests",
            "first_request_errors",
        ),
        numbers,
    ),
    latency_above_p99=numbers,
)


def test_the_columns_are_the_fields_in_order() -> None:
    fields = [field.name for field in msgspec.structs.fields(CountRow)]
    named = {"TICK": "tick", "SHARE_BP": "treatment_share_bp", "VARIANT": "variant_index"}
    for column in Count:
        expected = named.get(column.name, column.name.lower())
        assert fields[column].startswith(expected), column
    assert len(fields) == Count.LATENCY + 6


@given(st.lists(rows, max_size=20))
def test_stored_rows_are_read_back_the_same(given_rows: list[CountRow]) -> None:
    table = CountTable.of(given_rows)
    again = CountTable.from_lists(table.to_lists())
    assert sorted(map(tuple, again.to_lists())) == sorted(map(tuple, table.to_lists()))
    assert again.to_lists() == table.to_lists()


def test_rows_of_the_first_method_are_shorter_and_their_role_is_their_variant() -> None:
    table = CountTable.from_lists([[1, 500, 0, 10, 1, 1, 0, 0, 5, 1], [1, 500, 1, 20, 2, 2, 0, 0, 6, 1]])
    assert table[Count.VARIANT].tolist() == [0, 1]
    assert table[Count.LATENCY :].sum() == 0


@given(st.lists(rows.filter(lambda row: row.treatment_share_bp > 0), min_size=1, max_size=20))
def test_columns_are_those_of_the_rows_one_by_one(given_rows: list[CountRow]) -> None:
    table = CountTable.of(given_rows)
    columns = event_columns(table, table.shares, *first_errors(table))
    expected = columns_of(
        [
            TickCounts(
                row.tick,
                row.treatment_share_bp / 10_000,
                row.first_errors if row.role is Role.TREATMENT else 0,
                row.first_errors if row.role is Role.CONTROL else 0,
                row.requests - row.errors,
            )
            for row in given_rows
        ]
    )
    assert _plain(columns) == _plain(expected)


def _plain(columns: Any) -> Any:
    if not isinstance(columns, Columns):
        return columns
    return (columns.ticks.tolist(), columns.distinct_shares.tolist(), columns.observed.tolist())


@given(st.lists(rows.filter(lambda row: row.treatment_share_bp > 0), max_size=20))
def test_latencies_are_by_role(given_rows: list[CountRow]) -> None:
    table = CountTable.of(given_rows)
    columns = latencies(table, table.shares)
    slowest = {role: sum(r.latency_above_p99 for r in given_rows if r.role is role) for role in Role}
    if not isinstance(columns, Columns):
        assert sum(slowest.values()) == 0
        return
    observed = columns.observed.sum(axis=1).tolist()
    assert (observed[5], observed[11]) == (slowest[Role.TREATMENT], slowest[Role.CONTROL])


@given(st.lists(rows, max_size=20))
def test_what_was_counted_while_one_role_was_served_compares_nothing(given_rows: list[CountRow]) -> None:
    table = CountTable.of(given_rows)
    assert len(table.only(table.compared)) == sum(row.treatment_share_bp > 0 for row in given_rows)
