"""``headgate get``: lists of everything, as tables or as the api's JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from services.cli.control.aliases import Singular
from services.cli.control.kinds import RESOURCES, Filter, Kind
from services.cli.control.logs import LOGS, Log
from services.cli.control.options import as_json, connected, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api
    from services.cli.control.tables import Columns

_limited = click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
_shortened = click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
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
    @as_json
    @_limited
    @connected
    def command(api: Api, *, key: str | None, as_json: bool, limit: int | None, **given: str | None) -> None:
        from services.cli.control.client import address

        if key is not None:
            body = api.get(address(kind.plural, key)).body
            _show(kind.columns, body, [body], as_json=as_json)
            return
        items = list(api.items(address(kind.plural), _query(kind.filters, given), limit=limit))
        _show(kind.columns, {"items": items}, items, as_json=as_json, nothing=f"no {kind.plural} yet")

    filtered = click.argument("key", required=False)(_filtered(command, kind.filters))
    return click.command(kind.plural, help=f"List {kind.about}; or show the one with this KEY.")(filtered)


def _log(log: Log) -> click.Command:
    in_path = "{}" in log.path

    @as_json
    @_shortened
    @connected
    def command(api: Api, *, of: str | None, as_json: bool, limit: int, **given: str | None) -> None:
        from services.cli.control.client import address

        path = address(*(str(of) if part == "{}" else part for part in log.path))
        narrowed = {} if in_path else {log.argument: of}
        items = list(api.items(path, narrowed | _query(log.filters, given), limit=limit))
        _show(log.columns, {"items": items}, items, as_json=as_json, nothing=log.nothing)

    name = log.argument.upper()
    argument = click.argument("of", metavar=name if in_path else f"[{name}]", required=in_path)
    return click.command(log.name, help=f"List {log.about}.")(argument(_filtered(command, log.filters)))


def _filtered(command: Callable[..., None], filters: tuple[Filter, ...]) -> Callable[..., None]:
    for one in reversed(filters):
        command = click.option(f"--{one.option}", help=one.about)(command)
    return command


def _query(filters: tuple[Filter, ...], given: Mapping[str, str | None]) -> dict[str, str | None]:
    return {one.parameter: given[one.option] for one in filters}


def _show(columns: Columns, body: Any, items: list[Any], *, as_json: bool, nothing: str = "") -> None:
    from services.cli.control.tables import print_table

    if as_json:
        print_json(body)
    else:
        print_table(columns, items, nothing=nothing)


for _kind in RESOURCES.values():
    get.add_command(_listing(_kind))
for _one in LOGS:
    get.add_command(_log(_one))
