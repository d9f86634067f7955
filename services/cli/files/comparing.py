"""What applying documents would change, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from services.cli.control.client import Api, address
from services.cli.files import definitions
from services.cli.files.documents import Document
from services.cli.files.planning import differing, wanted
from services.cli.files.yaml_writing import as_yaml


def differences(api: Api, documents: Iterable[Document]) -> Iterator[str]:
    """Return the diff of each document that is not as the control plane has it."""
    for document in documents:
        live = api.find(address(f"{document.kind}s", document.key))
        difference = unified(document, live.body if live else None)
        if difference:
            yield difference


def unified(document: Document, live: Any | None) -> str:
    """Return what would change, from what is there to what the document says; empty where nothing would."""
    asked_for = definitions.concise(document.kind, wanted(document, live))
    present = None if live is None else _present(document, live)
    if live is not None and not differing(document, live):
        return ""
    lines = difflib.unified_diff(
        [] if present is None else as_yaml({document.kind: present}).splitlines(keepends=True),
        as_yaml({document.kind: asked_for}).splitlines(keepends=True),
        fromfile="/dev/null" if present is None else f"live/{document.name}",
        tofile=f"{document.file}:{document.line}",
    )
    return "".join(lines)


def _present(document: Document, live: Any) -> definitions.Definition:
    present = definitions.concise(document.kind, definitions.defined_by(document.kind, live))
    if document.kind == "route":
        present["stable"] = document.body["stable"]
    return present
