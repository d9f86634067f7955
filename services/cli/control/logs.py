"""What happened, to look at: where the api has it, and what a row of it shows."""

from __future__ import annotations

from dataclasses import dataclass

from services.cli.control.kinds import Filter
from services.cli.control.tables import Columns, field, moment, percent


@dataclass(frozen=True, slots=True)
class Log:
    """What happened, newest first. ``path`` has ``{}`` where the argument goes.

    An argument that is not in the path narrows the list, as a filter does.
    """

    name: str
    about: str
    path: tuple[str, ...]
    argument: str
    columns: Columns
    filters: tuple[Filter, ...] = ()
    nothing: str = ""


DECISIONS: Columns = {
    "decided": lambda one: moment(one["decided_at"]),
    "action": field("action"),
    "variant": field("variant"),
    "next share": lambda one: percent(one["next_share"]),
    "state": field("state"),
    "by": field("actor"),
    "because": field("reason"),
    "id": field("decision_id"),
}
AUDIT: Columns = {
    "at": lambda one: moment(one["at"]),
    "actor": field("actor"),
    "action": field("action"),
    "subject": field("subject"),
    "reason": lambda one: one["reason"] or "",
}
ALLOCATIONS: Columns = {
    "version": field("version"),
    "since": lambda one: moment(one["created_at"]),
    "served by": lambda one: ", ".join(f"{key} {percent(share)}" for key, share in one["weights"].items()),
    "by": field("actor"),
    "because": field("reason"),
}
DELIVERIES: Columns = {
    "created": lambda one: moment(one["created_at"]),
    "event": field("event"),
    "state": field("state"),
    "tries": field("tries"),
    "last status": field("last_status"),
    "last error": lambda one: one["last_error"] or "",
    "id": field("delivery_id"),
}

LOGS = (
    Log(
        "decisions",
        "what was decided, newest first: about one EXPERIMENT, or about all",
        ("decisions",),
        "experiment",
        DECISIONS,
        (
            Filter("action", "action", "Only promote, advance or rollback."),
            Filter("state", "state", "Only recorded, applied or dropped ones."),
        ),
        "nothing was decided yet",
    ),
    Log(
        "audit",
        "every change, newest first: of one SUBJECT, such as experiment/new-model, or of everything",
        ("audit",),
        "subject",
        AUDIT,
        (
            Filter("actor", "actor", "Only by this actor."),
            Filter("action", "action", "Only of this kind, such as create or start."),
            Filter("since", "since", "Only from this time on, such as 2026-11-20T12:00Z."),
            Filter("until", "until", "Only before this time."),
        ),
        "no changes yet",
    ),
    Log(
        "allocations",
        "how a ROUTE's traffic was split, newest first, with who changed it and why",
        ("routes", "{}", "allocations"),
        "route",
        ALLOCATIONS,
    ),
    Log(
        "deliveries",
        "what was sent to a WEBHOOK, newest first, and what came of it",
        ("webhooks", "{}", "deliveries"),
        "webhook",
        DELIVERIES,
        (
            Filter("state", "state", "Only waiting, delivered or failed ones."),
            Filter("event", "event", "Only of this event."),
        ),
        "nothing was sent yet",
    ),
)
