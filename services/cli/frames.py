"""Rows of the SQL contract as pandas frames, with the same types whether or not there are rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # noqa: F401 - pandas needs it for Parquet, and would say so late

from services.storage.contract import Rows

_TYPES = {
    "bigint": "Int64",
    "integer": "Int64",
    "smallint": "Int64",
    "numeric": "float64",
    "double precision": "float64",
    "boolean": "boolean",
    "timestamp with time zone": "datetime64[us, UTC]",
}
"""Everything else becomes text: identifiers as they are, JSON in its own notation."""


def frame_of(table: Rows) -> pd.DataFrame:
    """Return rows as a frame."""
    values = list(zip(*table.rows, strict=True)) or [() for _ in table.columns]
    columns = {
        name: _series(kind, column) for (name, kind), column in zip(table.columns, values, strict=True)
    }
    return pd.DataFrame(columns)


def write(frames: Mapping[str, pd.DataFrame], directory: Path, formats: frozenset[str]) -> list[Path]:
    """Write each frame as a file of each format, and return the files."""
    written = []
    for name, frame in frames.items():
        if "csv" in formats:
            written.append(directory / f"{name}.csv")
            frame.to_csv(written[-1], index=False)
        if "parquet" in formats:
            written.append(directory / f"{name}.parquet")
            frame.to_parquet(written[-1], index=False)
    return written


def _series(kind: str, values: tuple[Any, ...]) -> pd.Series:
    dtype = _TYPES.get(kind)
    if dtype is not None:
        return pd.Series(values, dtype=dtype)
    return pd.Series([None if value is None else _text(value) for value in values], dtype="str")


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value.hex() if isinstance(value, bytes) else str(value)
