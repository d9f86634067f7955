"""``headgate get``: lists of everything, as tables or as the api's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.control.aliases import Singular
from services.cli.control.options import as_json, connected, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api
    from services.cli.control.kinds import Kind
    from services.cli.control.tables import Columns

_LOG_LENGTH = 100
_limited = click.option(
    "--limit", type=click.IntRange(min=1), default=_LOG_LENGTH, show_default=True, help="At most so many."
)


@click.group(cls=Singular)
def get() -> None:
    """List endpoints, variants, routes, metrics, experiments, keys, decisions, audit, …

    \b
    Examples:
      headgate get experiments --status running
      headgate get variant small-model --json
      headgate get decisions new-model
      headgate get audit experiment/new-model
    """


def _listing(kind: Kind) -> click.Command:
    @connected
    def command(
        api: Api, *, as_json: bool, limit: int | None = None, key: str | None = None, **filters: str | None
    ) -> None:
        from services.cli.control.client import address

        if key is not None:
            body = api.get(address(kind.plural, key)).body
            _show(kind.columns, body, [body], as_json=as_json, nothing="")
            return
        items = list(api.items(address(kind.plural), filters, limit=limit))
        _show(kind.columns, {"items": items}, items, as_json=as_json, nothing=f"no {kind.plural} yet")

    command = as_json(command)
    if kind.filters:
        command = _limited(command)
    for name, about in kind.filters.items():
        command = click.option(f"--{name}", help=about)(command)
    if kind.shown_alone:
        command = click.argument("key", required=False)(command)
    return click.command(kind.plural, help=f"List {kind.about}.")(command)


@get.command()
@click.argument("experiment", required=False)
@_limited
@as_json
@connected
def decisions(api: Api, *, experiment: str | None, limit: int, as_json: bool) -> None:
    """List what was decided, newest first: about one EXPERIMENT, or about all."""
    from services.cli.control.client import address
    from services.cli.control.kinds import DECISIONS

    path = address("experiments", experiment, "decisions") if experiment else address("decisions")
    _show_log(api, path, DECISIONS, limit=limit, as_json=as_json, nothing="nothing was decided yet")


@get.command()
@click.argument("subject", required=False)
@_limited
@as_json
@connected
def audit(api: Api, *, subject: str | None, limit: int, as_json: bool) -> None:
    """List every change, newest first: of one SUBJECT, such as experiment/new-model, or all."""
    from services.cli.control.client import address
    from services.cli.control.kinds import AUDIT

    items = list(api.items(address("audit"), {"subject": subject}, limit=limit))
    _show(AUDIT, {"items": items}, items, as_json=as_json, nothing="no changes yet")


@get.command()
@click.argument("route")
@_limited
@as_json
@connected
def allocations(api: Api, *, route: str, limit: int, as_json: bool) -> None:
    """List how a ROUTE's traffic was split, newest first, with who changed it and why."""
    from services.cli.control.client import address
    from services.cli.control.kinds import ALLOCATIONS

    path = address("routes", route, "allocations")
    _show_log(api, path, ALLOCATIONS, limit=limit, as_json=as_json, nothing="")


@get.command()
@click.argument("webhook")
@_limited
@as_json
@connected
def deliveries(api: Api, *, webhook: str, limit: int, as_json: bool) -> None:
    """List what was sent to a WEBHOOK, newest first, and what came of it."""
    from services.cli.control.client import address
    from services.cli.control.kinds import DELIVERIES

    path = address("webhooks", webhook, "deliveries")
    _show_log(api, path, DELIVERIES, limit=limit, as_json=as_json, nothing="nothing was sent yet")


def _show_log(api: Api, path: str, columns: Columns, *, limit: int, as_json: bool, nothing: str) -> None:
    items = list(api.items(path, limit=limit))
    _show(columns, {"items": items}, items, as_json=as_json, nothing=nothing)


def _show(columns: Columns, body: Any, items: list[Any], *, as_json: bool, nothing: str) -> None:
    from services.cli.control.tables import print_table

    if as_json:
        print_json(body)
    else:
        print_table(columns, items, nothing=nothing)


def _add_resources() -> None:
    from services.cli.control.kinds import RESOURCES

    for kind in RESOURCES.values():
        get.add_command(_listing(kind))


_add_resources()
