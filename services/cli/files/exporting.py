"""What the control plane has, as the documents that would create it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from services.cli.control.client import Api, address
from services.cli.files import definitions
from services.cli.files.kinds import KINDS
from services.cli.files.yaml_writing import as_documents


def export(api: Api, kind: str, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Return the named things, each with its kind."""
    for key in keys:
        yield kind, api.get(address(f"{kind}s", key)).body


def export_all(api: Api, kinds: Iterable[str] = KINDS) -> Iterator[tuple[str, Any]]:
    """Return everything of the kinds, the oldest experiment first. Built-in metrics are everywhere anyway."""
    for kind in kinds:
        found = list(api.items(address(f"{kind}s")))
        for view in reversed(found) if kind == "experiment" else found:
            if not view.get("built_in", False):
                yield kind, view


def as_file(exported: Iterable[tuple[str, Any]]) -> str:
    """Return the things as documents of one file."""
    return as_documents({kind: _definition(kind, view)} for kind, view in exported)


def _definition(kind: str, view: Any) -> definitions.Definition:
    return definitions.concise(kind, definitions.defined_by(kind, view))
