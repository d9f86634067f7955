"""What there is to look at: where the api has it, and what a row of it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.cli.control.tables import Columns, Item, moment, percent


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list can be narrowed by: the option, the api's name for it, and what it does."""

    option: str
    parameter: str
    about: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource with an address of its own."""

    name: str
    plural: str
    about: str
    columns: Columns
    filters: tuple[Filter, ...] = ()
    deletable: bool = False


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


def state_of(experiment: Item) -> str:
    """Return where an experiment stands, in a word or two."""
    if experiment["conclusion"]:
        return f"{experiment['status']}, {experiment['conclusion']}"
    stage = experiment.get("stage")
    return f"{experiment['status']}, {stage}" if stage in ("deployed", "watch") else str(experiment["status"])


def shares_of(experiment: Item) -> str:
    """Return who serves how much of the route."""
    return ", ".join(f"{one['key']} {percent(one['share'])}" for one in experiment["variants"])


def awaited(experiment: Item) -> str:
    """Return what an experiment is waiting for, or why it ended."""
    waiting = experiment["waiting_for"]
    return str(waiting["sentence"] if waiting else experiment["concluded_because"] or "")


def _served(route: Item) -> str:
    return ", ".join(f"{key} {percent(share)}" for key, share in route["allocation"]["weights"].items())


def _prices(endpoint: Item) -> str | None:
    prices = endpoint["prices"]
    if prices is None:
        return None
    cached = prices["cached_input_per_million"]
    prompt = f"{prices['input_per_million']:g}" + ("" if cached is None else f" ({cached:g} cached)")
    return f"{prompt} / {prices['output_per_million']:g}"


def _routes_of(key: Item) -> Any:
    return (key["routes"] or "all") if key["role"] == "client" else ""


def _prompt(variant: Item) -> str | None:
    prompt = variant["system_prompt"]
    return prompt and (prompt if len(prompt) <= 40 else f"{prompt[:39]}…").replace("\n", " ")


def _limits(name: str) -> Any:
    """Return what shows limits: ``requests_per_minute 600``."""

    def shown(item: Item) -> list[str] | str:
        bounds = {bound: value for bound, value in (item.get(name) or {}).items() if value is not None}
        return [f"{bound} {value:.12g}" for bound, value in bounds.items()] or ""

    return shown


def _get(name: str) -> Any:
    return lambda item: item.get(name)


_PREFIX = (Filter("prefix", "q", "Only those whose key begins with this."),)

RESOURCES = {
    kind.plural: kind
    for kind in (
        Kind(
            "team",
            "teams",
            "who keys belong to, and what they may use together",
            {"key": _get("key"), "label": _get("label"), "limits": _limits("limits")},
            filters=_PREFIX,
            deletable=True,
        ),
        Kind(
            "endpoint",
            "endpoints",
            "provider deployments",
            {
                "key": _get("key"),
                "kind": _get("kind"),
                "base URL": _get("base_url"),
                "model": _get("model"),
                "priority": _get("priority"),
                "weight": _get("weight"),
                "prices in / out": _prices,
                "drained": _get("drained"),
            },
            filters=_PREFIX,
        ),
        Kind(
            "variant",
            "variants",
            "configurations to serve",
            {
                "key": _get("key"),
                "endpoints": _get("endpoints"),
                "model": _get("model"),
                "system prompt": _prompt,
                "parameters": lambda variant: [f"{k}={v}" for k, v in variant["parameters"].items()],
            },
            filters=_PREFIX,
        ),
        Kind(
            "route",
            "routes",
            "the names clients put in `model`, and who serves them",
            {
                "key": _get("key"),
                "stable": lambda route: route["allocation"]["stable"],
                "served by": _served,
                "without a unit": _get("unit_fallback"),
                "limits": _limits("limits"),
                "of each unit": _limits("unit_limits"),
                "keeps content": _get("record_content"),
                "frozen": lambda route: "; ".join(one["reason"] for one in route.get("freezes") or ()),
                "version": lambda route: route["allocation"]["version"],
            },
            filters=_PREFIX,
        ),
        Kind(
            "metric",
            "metrics",
            "what can be measured",
            {
                "key": _get("key"),
                "source": _get("source"),
                "kind": _get("kind"),
                "per": _get("per"),
                "better": _get("better"),
                "unit": _get("unit"),
                "built in": _get("built_in"),
                "description": _get("description"),
            },
            filters=_PREFIX,
            deletable=True,
        ),
        Kind(
            "experiment",
            "experiments",
            "controlled changes, newest first",
            {
                "key": _get("key"),
                "kind": _get("kind"),
                "route": _get("route"),
                "status": state_of,
                "shares": shares_of,
                "waiting for": awaited,
            },
            filters=(
                Filter("route", "route", "Only of this route."),
                Filter("kind", "kind", "Only of this kind: canary, ab_test, …"),
                Filter("status", "status", "Only draft, running, paused or stopped ones."),
            ),
            deletable=True,
        ),
        Kind(
            "key",
            "keys",
            "what clients present to the gateway, and people to the control plane; never the keys themselves",
            {
                "id": _get("key_id"),
                "label": _get("label"),
                "role": _get("role"),
                "team": _get("team"),
                "state": _get("state"),
                "routes": _routes_of,
                "scopes": lambda key: key.get("scopes") or "",
                "limits": _limits("limits"),
                "last used": lambda key: moment(key["last_used_at"]),
                "expires": lambda key: moment(key["expires_at"]),
            },
            filters=(
                Filter("team", "team", "Only those of this team."),
                Filter("role", "role", "Only those of this role: client, viewer, editor or admin."),
                Filter("state", "state", "Only active, expiring, expired or revoked ones."),
            ),
        ),
        Kind(
            "webhook",
            "webhooks",
            "who is told of decisions and changes",
            {
                "key": _get("key"),
                "url": _get("url"),
                "events": lambda webhook: webhook["events"] or "all",
                "enabled": _get("enabled"),
            },
            deletable=True,
        ),
    )
}

DECISIONS: Columns = {
    "decided": lambda one: moment(one["decided_at"]),
    "action": _get("action"),
    "variant": _get("variant"),
    "next share": lambda one: percent(one["next_share"]),
    "state": _get("state"),
    "by": _get("actor"),
    "because": _get("reason"),
    "id": _get("decision_id"),
}
AUDIT: Columns = {
    "at": lambda one: moment(one["at"]),
    "actor": _get("actor"),
    "action": _get("action"),
    "subject": _get("subject"),
    "reason": lambda one: one["reason"] or "",
}
ALLOCATIONS: Columns = {
    "version": _get("version"),
    "since": lambda one: moment(one["created_at"]),
    "served by": lambda one: ", ".join(f"{key} {percent(share)}" for key, share in one["weights"].items()),
    "by": _get("actor"),
    "because": _get("reason"),
}
DELIVERIES: Columns = {
    "created": lambda one: moment(one["created_at"]),
    "event": _get("event"),
    "state": _get("state"),
    "tries": _get("tries"),
    "last status": _get("last_status"),
    "last error": lambda one: one["last_error"] or "",
    "id": _get("delivery_id"),
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
