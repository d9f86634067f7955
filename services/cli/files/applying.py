"""Applying documents: each is created, replaced, left as it is, or refused with the place that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from services.cli.control.client import Answer, Api, address
from services.cli.control.refusals import KeyRefused, Refused
from services.cli.files import definitions
from services.cli.files.documents import Document, Fault
from services.cli.files.planning import SETTINGS, Step, step_for, wanted

Outcome = Literal[
    "created", "replaced", "unchanged", "started", "created and started", "replaced and started", "refused"
]

_DONE: dict[tuple[str, bool], Outcome] = {
    ("create", False): "created",
    ("create", True): "created and started",
    ("replace", False): "replaced",
    ("replace", True): "replaced and started",
    ("keep", False): "unchanged",
    ("keep", True): "started",
}

_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a document; ``faults`` say why where it was refused."""

    document: Document
    outcome: Outcome
    note: str = ""
    faults: tuple[Fault, ...] = ()


def apply(api: Api, documents: Iterable[Document]) -> Iterator[Applied]:
    """Apply documents one after the other, in the order in which they are given."""
    for document in documents:
        yield _attempt(api, document, _carry_out)


def rehearse(api: Api, documents: Iterable[Document]) -> Iterator[Applied]:
    """Say what applying would do, and change nothing. Experiments are asked about where all is there that
    they need: what the same files define is not there yet."""
    missing = False
    for document in documents:
        done = _attempt(api, document, _rehearsed if missing else _asked_about)
        missing = missing or done.outcome == "created"
        yield done


def _attempt(api: Api, document: Document, act: Any) -> Applied:
    live = api.find(address(f"{document.kind}s", document.key))
    step = step_for(document, live.body if live else None)
    if step.action == "refuse":
        return Applied(document, "refused", faults=(document.fault(step.field, step.note),))
    try:
        faults: tuple[Fault, ...] = act(api, document, step, live)
    except KeyRefused:
        raise
    except Refused as refused:
        faults = _faults(document, refused)
    if faults:
        return Applied(document, "refused", faults=faults)
    return Applied(document, _DONE[step.action, step.start], step.note)


def _carry_out(api: Api, document: Document, step: Step, live: Answer | None) -> tuple[Fault, ...]:
    called = f"{document.kind} {document.key}"
    if step.action == "create":
        with _named(f"creating {called}"):
            api.post(address(f"{document.kind}s"), document.body)
    if step.action == "replace" and live is not None:
        etag = live.etag
        for part, path, body in _replacements(document, step, live.body):
            with _named(f"{part} {called}"):
                etag = api.put(path, body, if_match=etag).etag
    if step.start:
        reason = f"start: true in {document.file}"
        with _named(f"starting {called}"):
            api.post(address("experiments", document.key, "start"), {"reason": reason})
    return ()


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say of a step that the key may not take which one it was: the others may be done."""
    try:
        yield
    except Refused as refused:
        if refused.status != _FORBIDDEN:
            raise
        raise Refused(refused.status, f"{what}: {refused.detail}") from refused


def _replacements(document: Document, step: Step, live: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield what is replaced, where, and what is sent there. Of a route, only its settings are."""
    if document.kind == "route":
        route = definitions.whole("route", wanted(document, live))
        for setting in step.settings:
            body = {name: route[name] for name in SETTINGS[setting]}
            yield f"the {setting} of", address("routes", document.key, setting), body
        return
    # What is drafted has its key; of anything else the address says it.
    drafted = document.kind == "experiment"
    body = {name: value for name, value in document.body.items() if drafted or name != "key"}
    yield "replacing", address(f"{document.kind}s", document.key), body


def _rehearsed(_api: Api, _document: Document, _step: Step, _live: Answer | None) -> tuple[Fault, ...]:
    return ()


def _asked_about(api: Api, document: Document, step: Step, _live: Answer | None) -> tuple[Fault, ...]:
    if document.kind != "experiment" or step.action not in ("create", "replace"):
        return ()
    foretold = api.post(address("experiments", "dry-run"), document.body).body
    return tuple(
        document.fault(obstacle["field"] or "", obstacle["message"])
        for obstacle in foretold["obstacles"]
        if (obstacle["blocks"] == "create" or step.start)
        and (obstacle["field"], step.action) != ("key", "replace")  # it is there, and may be
    )


def _faults(document: Document, refused: Refused) -> tuple[Fault, ...]:
    if not refused.fields:
        return (document.fault("", refused.detail),)
    return tuple(document.fault(one.field, one.message) for one in refused.fields)
