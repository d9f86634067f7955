"""``headgate results``, ``comparisons`` and ``health``: what an experiment found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.control.options import as_json, connected, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api


@click.command()
@click.argument("key")
@click.option("--segment", help="Only units with attribute=value, such as tier=gold.")
@click.option("--phase", type=click.IntRange(min=1), help="A phase that is over; the newest by default.")
@click.option("--at", help="What was seen at a time, such as 2026-11-20T12:00Z.")
@as_json
@connected
def results(
    api: Api, *, key: str, segment: str | None, phase: int | None, at: str | None, as_json: bool
) -> None:
    """Show what an experiment found, and what of it may be read already.

    \b
    Examples:
      headgate results short-prompt
      headgate results short-prompt --segment tier=gold
      headgate results short-prompt --phase 1 --json
    """
    from services.cli.control.client import address
    from services.cli.control.results import print_results

    query = {"segment": segment, "phase": phase, "at": at}
    body = api.get(address("experiments", key, "results"), query).body
    if as_json:
        print_json(body)
        return
    print_results(body)


@click.command()
@click.argument("key")
@click.option("--last", type=click.IntRange(min=1), default=10, show_default=True, help="Show so many.")
@as_json
@connected
def comparisons(api: Api, *, key: str, last: int, as_json: bool) -> None:
    """Show how a shadow's answers compare to those that callers were given."""
    from services.cli.control.client import address
    from services.cli.control.comparisons import print_comparisons

    body = api.get(address("experiments", key, "comparisons"), {"limit": last}).body
    if as_json:
        print_json(body)
        return
    print_comparisons(body)


@click.command()
@click.argument("key")
@click.option("--last", is_flag=True, help="Show what the last checks found, without running them.")
@as_json
@connected
def health(api: Api, *, key: str, last: bool, as_json: bool) -> None:
    """Check a blue-green's idle slot with real requests. Ends with 1 unless it is healthy."""
    from services.cli.control.checks import print_health
    from services.cli.control.client import address

    path = address("experiments", key, "health")
    body: Any = (api.get(path) if last else api.post(path)).body
    if as_json:
        print_json(body)
    else:
        print_health(body)
    if body.get("healthy") is not True:
        raise click.exceptions.Exit(1)
