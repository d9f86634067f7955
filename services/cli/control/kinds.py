"""What there is to look at: where the api has it, and what a row of it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.cli.control.tables import Columns, Item, field, moment, percent


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


_PREFIX = (Filter("prefix", "q", "Only those whose key begins with this."),)

RESOURCES = {
    kind.plural: kind
    for kind in (
        Kind(
            "team",
            "teams",
            "who keys belong to, and what they may use together",
            {"key": field("key"), "label": field("label"), "limits": _limits("limits")},
            filters=_PREFIX,
            deletable=True,
        ),
        Kind(
            "endpoint",
            "endpoints",
            "provider deployments",
            {
                "key": field("key"),
                "kind": field("kind"),
                "base URL": field("base_url"),
                "model": field("model"),
                "priority": field("priority"),
                "weight": field("weight"),
                "prices in / out": _prices,
                "drained": field("drained"),
            },
            filters=_PREFIX,
        ),
        Kind(
            "variant",
            "variants",
            "configurations to serve",
            {
                "key": field("key"),
                "endpoints": field("endpoints"),
                "model": field("model"),
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
                "key": field("key"),
                "stable": lambda route: route["allocation"]["stable"],
                "served by": _served,
                "without a unit": field("unit_fallback"),
                "limits": _limits("limits"),
                "of each unit": _limits("unit_limits"),
                "keeps content": field("record_content"),
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
                "key": field("key"),
                "source": field("source"),
                "kind": field("kind"),
                "per": field("per"),
                "better": field("better"),
                "unit": field("unit"),
                "built in": field("built_in"),
                "description": field("description"),
            },
            filters=_PREFIX,
            deletable=True,
        ),
        Kind(
            "experiment",
            "experiments",
            "controlled changes, newest first",
            {
                "key": field("key"),
                "kind": field("kind"),
                "route": field("route"),
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
                "id": field("key_id"),
                "label": field("label"),
                "role": field("role"),
                "team": field("team"),
                "state": field("state"),
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
                "key": field("key"),
                "url": field("url"),
                "events": lambda webhook: webhook["events"] or "all",
                "enabled": field("enabled"),
            },
            deletable=True,
        ),
    )
}
