"""Commands that hold something back or remove it: ``drain``, ``freeze``, their opposites, and ``delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from services.cli.control.kinds import RESOURCES
from services.cli.control.options import as_json, because, connected, if_match, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api


@click.command()
@click.argument("endpoint")
@because
@as_json
@connected
def drain(api: Api, *, endpoint: str, reason: str | None, as_json: bool) -> None:
    """Give an ENDPOINT no new requests; those under way are finished."""
    _drain(api, endpoint, "drain", reason, "gets no new requests", as_json=as_json)


@click.command()
@click.argument("endpoint")
@because
@as_json
@connected
def undrain(api: Api, *, endpoint: str, reason: str | None, as_json: bool) -> None:
    """Give an ENDPOINT requests again."""
    _drain(api, endpoint, "undrain", reason, "gets requests again", as_json=as_json)


@click.command()
@click.argument("route", required=False)
@click.option("--reason", required=True, help="Why: whoever meets the freeze wants to know.")
@connected
def freeze(api: Api, *, route: str | None, reason: str) -> None:
    """Stop every automatic change but rollbacks: on one ROUTE, or everywhere.

    \b
    Examples:
      headgate freeze --reason "release weekend"
      headgate freeze chat --reason "the provider is moving"
      headgate unfreeze chat
    """
    api.put(_freeze(route), {"reason": reason})
    undo = f"headgate unfreeze {route}" if route else "headgate unfreeze"
    click.echo(f"{route or 'everything'} is frozen: only rollbacks happen by themselves; `{undo}` lifts it")


@click.command()
@click.argument("route", required=False)
@connected
def unfreeze(api: Api, *, route: str | None) -> None:
    """Let automatic changes happen again: on one ROUTE, or everywhere."""
    api.delete(_freeze(route))
    click.echo(f"{route or 'everything'} is not frozen any more")


@click.command()
@click.argument("kind", type=click.Choice([kind.name for kind in RESOURCES.values() if kind.deletable]))
@click.argument("key")
@if_match
@connected
def delete(api: Api, *, kind: str, key: str, if_match: str | None) -> None:
    """Delete a team, a metric, a webhook or an experiment's draft.

    Whatever served or decided anything stays on record.
    """
    from services.cli.control.client import address

    api.delete(address(f"{kind}s", key), if_match=if_match)
    click.echo(f"{kind} {key} is deleted")


def _drain(api: Api, endpoint: str, verb: str, reason: str | None, sentence: str, *, as_json: bool) -> None:
    from services.cli.control.client import address

    body = {"reason": reason} if reason else None
    answer = api.post(address("endpoints", endpoint, verb), body)
    if as_json:
        print_json(answer.body)
    else:
        click.echo(f"{endpoint} {sentence}")


def _freeze(route: str | None) -> str:
    from services.cli.control.client import address

    return address("routes", route, "freeze") if route else address("freeze")
