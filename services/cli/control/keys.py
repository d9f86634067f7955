"""``headgate keys``: what clients present to the gateway, and people to the control plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from services.cli.control.amounts import NEVER, Duration, Expiry, LimitParam
from services.cli.control.getting import get
from services.cli.control.options import as_json, connected, if_match, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api

_OPTIONS = (
    click.option("--team", help="The team it belongs to."),
    click.option("--route", "routes", multiple=True, help="A route it may use; may be repeated."),
    click.option("--scope", "scopes", multiple=True, help="What else it may do, such as force_variant."),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        type=LimitParam(),
        help="What it may use, such as requests_per_minute=600; may be repeated.",
    ),
    click.option(
        "--expires",
        type=Expiry(),
        help="After a time span, such as 90d, at a time, such as 2027-01-31T12:00:00Z, or never.",
    ),
)

_CLEARING = {"no_team": "team", "all_routes": "routes", "no_scopes": "scopes", "no_limits": "limits"}
"""The options that take something away, and the field that each is about."""


def _described(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what a key may do."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """Create, list, change, rotate and revoke keys: those that clients present to the gateway, and those that
    people and pipelines present to the control plane.
    """


@keys.command()
@click.argument("label")
@click.option(
    "--role",
    type=click.Choice(["client", "viewer", "editor", "admin"]),
    default="client",
    help="client (the default) is for the gateway; the others are for the control plane.",
)
@_described
@as_json
@connected
def create(api: Api, *, label: str, role: str, as_json: bool, **given: Any) -> None:
    """Create a key for whoever LABEL says. It is shown this once, alone on standard output.

    \b
    Examples:
      KEY=$(headgate keys create "checkout service" --team checkout --route chat)
      headgate keys create "batch" --limit tokens_per_day=5000000 --limit concurrency=4 --expires 90d
      headgate keys create "ci of checkout" --role editor --expires 365d
    """
    from services.cli.control.client import address

    body = {"label": label, **_asked(**given)} | ({"role": role} if role != "client" else {})
    _show_once(api.post(address("keys"), body).body, f"for {label}", as_json=as_json)


@keys.command()
@click.argument("key_id")
@click.option("--label", help="Who has it.")
@_described
@click.option("--no-team", is_flag=True, help="It belongs to no team any more.")
@click.option("--all-routes", is_flag=True, help="It may use every route.")
@click.option("--no-scopes", is_flag=True, help="It may do nothing else any more.")
@click.option("--no-limits", is_flag=True, help="It has no limits of its own any more.")
@if_match
@as_json
@connected
def change(
    api: Api,
    *,
    key_id: str,
    label: str | None,
    if_match: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Change what the key KEY_ID may do and use, from now on; what is not named stays as it is.

    Routes and scopes are replaced by those that are named, limits one by one.

    \b
    Examples:
      headgate keys change key_2f9c01d3aa04 --limit requests_per_minute=1200 --expires never
      headgate keys change key_2f9c01d3aa04 --limit tokens_per_day=none --no-team
    """
    from services.cli.control.client import address

    cleared = {name: given.pop(flag) for flag, name in _CLEARING.items()}
    body = _asked(**given) | ({} if label is None else {"label": label})
    for flag, name in _CLEARING.items():
        if cleared[name] and name in body:
            raise click.UsageError(
                f"--{flag.replace('_', '-')} and --{name.removesuffix('s')} contradict each other"
            )
    body |= {name: [] if name == "scopes" else None for name, is_asked in cleared.items() if is_asked}
    if not body:
        raise click.UsageError("say what is to change, such as --label or --limit")
    changed = api.patch(address("keys", key_id), body, if_match=if_match).body
    _say(changed, f"{key_id} ({changed['label']}) is changed", as_json=as_json)


@keys.command()
@click.argument("key_id")
@click.option("--overlap", type=Duration(), help="How long the old key goes on working; 1d by default.")
@click.option("--expires", type=Expiry(), help="When the new key expires; as the old one by default.")
@as_json
@connected
def rotate(api: Api, *, key_id: str, overlap: int | None, expires: str | None, as_json: bool) -> None:
    """Create a key that may do what KEY_ID may, and let KEY_ID expire. The new key is shown this once.

    \b
    Example:
      KEY=$(headgate keys rotate key_2f9c01d3aa04 --overlap 12h)
    """
    from services.cli.control.client import address

    asked = {"overlap_seconds": overlap, "expires_at": expires}
    body = {name: value for name, value in asked.items() if value is not None}
    made = api.post(address("keys", key_id, "rotate"), body).body
    _show_once(made, f"replaces {key_id}", as_json=as_json)


@keys.command()
@click.argument("key_id")
@as_json
@connected
def revoke(api: Api, *, key_id: str, as_json: bool) -> None:
    """Revoke a key by its KEY_ID; it is refused from then on."""
    from services.cli.control.client import address

    revoked = api.delete(address("keys", key_id)).body
    _say(revoked, f"{key_id} ({revoked['label']}) is revoked", as_json=as_json)


keys.add_command(get.commands["keys"], "list")


def _asked(
    *,
    team: str | None,
    routes: tuple[str, ...],
    scopes: tuple[str, ...],
    limits: tuple[tuple[str, float | None], ...],
    expires: str | None,
) -> dict[str, Any]:
    """Return the fields of the api's body that were typed."""
    body: dict[str, Any] = {"routes": list(routes), "scopes": list(scopes), "limits": dict(limits)}
    body = {name: value for name, value in body.items() if value}
    if team is not None:
        body["team"] = team
    if expires is not None:
        body["expires_at"] = None if expires == NEVER else expires
    return body


def _show_once(made: Any, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    click.echo(f"{made['key_id']} {what}; only its hash is stored, so keep it now", err=True)


def _say(answer: Any, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(sentence)
