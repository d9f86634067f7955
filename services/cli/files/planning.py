"""What applying a document comes to, by what is there already. Pure functions of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.cli.files import definitions
from services.cli.files.documents import Document

Action = Literal["create", "replace", "keep", "refuse"]

REPLACEABLE = frozenset({"team", "endpoint", "variant", "metric", "webhook", "experiment"})
"""What the api can replace, experiments as long as they are drafts. Routes change by experiments, but for
their settings."""
SETTINGS = {"limits": ("limits", "unit_limits"), "recording": ("record_content",)}
"""What can be set of a route: the end of an address, and the fields that are replaced there together."""
_KEPT = tuple(name for names in SETTINGS.values() for name in names)
"""Of a route, what stays as it is where a file says nothing of it: admins set it without files as well."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done for a document. ``field`` names what is in the way of it, where something is.

    ``settings`` names those of a route that differ.
    """

    action: Action
    start: bool = False
    field: str = ""
    note: str = ""
    settings: tuple[str, ...] = ()


def step_for(document: Document, live: Mapping[str, Any] | None) -> Step:
    """Return what to do for a document, when the api shows this, or nothing, under its key."""
    if live is None:
        return Step("create", start=document.start)
    fields = differing(document, live)
    if not fields:
        return _kept(document, live)
    if _is_replaceable(document, live, fields):
        return Step(
            "replace", start=document.start, note=f"{', '.join(fields)} changed", settings=_settings(fields)
        )
    return Step("refuse", field=fields[0], note=_why_not(document, live, fields))


def _is_replaceable(document: Document, live: Mapping[str, Any], fields: list[str]) -> bool:
    if document.kind == "route":
        return set(_KEPT).issuperset(fields)
    if document.kind == "experiment":
        return live["status"] == "draft" and not {"route", "kind"}.intersection(fields)
    return document.kind in REPLACEABLE


def _settings(fields: list[str]) -> tuple[str, ...]:
    return tuple(setting for setting, names in SETTINGS.items() if not set(names).isdisjoint(fields))


def wanted(document: Document, live: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the body that the document asks for, with what it leaves as it is."""
    if document.kind != "route" or live is None:
        return document.body
    return {name: live[name] for name in _KEPT if name in live} | dict(document.body)


def differing(document: Document, live: Mapping[str, Any]) -> list[str]:
    """Return the fields in which the document is not what is there.

    ``stable`` of a route says which variant serves it at first: experiments change it later, and files never.
    """
    defined = definitions.whole(document.kind, definitions.defined_by(document.kind, live))
    fields = definitions.differing(definitions.whole(document.kind, wanted(document, live)), defined)
    return [name for name in fields if (document.kind, name) != ("route", "stable")]


def _kept(document: Document, live: Mapping[str, Any]) -> Step:
    if document.kind == "route":
        stable = live["allocation"]["stable"]
        moved = stable != document.body["stable"]
        return Step("keep", note=f"{stable} is stable by now" if moved else "")
    if not document.start:
        return Step("keep")
    if live["status"] == "draft":
        return Step("keep", start=True)
    return Step("keep", note=f"it is {live['conclusion'] or live['status']}")


def _why_not(document: Document, live: Mapping[str, Any], fields: list[str]) -> str:
    if document.kind == "route":
        return "a route keeps what it was created with, but for limits and recording; create another route"
    if "kind" in fields:
        return f"{document.key} is {live['kind']} already; give this experiment a key of its own"
    if "route" in fields:
        return f"{document.key} is on {live['route']} already; give this experiment a key of its own"
    others = f" ({', '.join(fields)} differ)" if len(fields) > 1 else ""
    return (
        f"an experiment keeps the definition it was started with{others}; give the new one a key of its own"
    )
