"""``headgate keys``: what clients present to the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from services.cli.control.getting import get
from services.cli.control.options import as_json, connected, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api


@click.group()
def keys() -> None:
    """Create, list and revoke the keys that clients present to the gateway."""


@keys.command()
@click.argument("label")
@click.option("--route", "routes", multiple=True, help="A route it may use; may be repeated. All by default.")
@click.option("--scope", "scopes", multiple=True, help="What else it may do, such as force_variant.")
@as_json
@connected
def create(api: Api, *, label: str, routes: tuple[str, ...], scopes: tuple[str, ...], as_json: bool) -> None:
    """Create a key for whoever LABEL says. It is shown this once, alone on standard output.

    \b
    Example:
      KEY=$(headgate keys create "checkout service" --route chat)
    """
    from services.cli.control.client import address

    body: dict[str, object] = {"label": label}
    body |= {name: list(given) for name, given in (("routes", routes), ("scopes", scopes)) if given}
    made = api.post(address("keys"), body).body
    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    click.echo(f"{made['key_id']} for {label}; only its hash is stored, so keep it now", err=True)


@keys.command()
@click.argument("key_id")
@as_json
@connected
def revoke(api: Api, *, key_id: str, as_json: bool) -> None:
    """Revoke a key by its KEY_ID; gateways refuse it from then on."""
    from services.cli.control.client import address

    revoked = api.delete(address("keys", key_id)).body
    if as_json:
        print_json(revoked)
    else:
        click.echo(f"{key_id} ({revoked['label']}) is revoked")


keys.add_command(get.commands["keys"], "list")
