"""``headgate describe``: one thing at length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.control.aliases import Singular
from services.cli.control.kinds import RESOURCES
from services.cli.control.options import as_json, connected, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api
    from services.cli.control.kinds import Kind

_LAST_DECISIONS = 5


@click.group(cls=Singular)
def describe() -> None:
    """Show one thing at length.

    \b
    Examples:
      headgate describe experiment new-model    status, what it waits for, what it found so far
      headgate describe route chat
    """


@describe.command()
@click.argument("key")
@as_json
@connected
def experiment(api: Api, *, key: str, as_json: bool) -> None:
    """Show where an experiment stands, what it is waiting for, and what it found so far."""
    from services.cli.control.client import address
    from services.cli.control.logs import DECISIONS
    from services.cli.control.results import print_results
    from services.cli.control.tables import print_heading, print_table

    shown = api.get(address("experiments", key))
    if as_json:
        print_json(shown.body)
        return
    _print_standing(shown.body, shown.etag)
    if shown.body["status"] == "draft":
        return
    results = api.find(address("experiments", key, "results"))
    if results is not None:
        print_results(results.body, goals_only=True)
    made = list(api.items(address("experiments", key, "decisions"), limit=_LAST_DECISIONS))
    if made:
        print_heading("Decisions, newest first")
        print_table(DECISIONS, made)


def _print_standing(body: Any, etag: str | None) -> None:
    from services.cli.control.kinds import awaited, shares_of, state_of
    from services.cli.control.tables import console, moment, print_facts, print_heading
    from services.cli.files.yaml_writing import as_yaml

    definition = {name: value for name, value in body["definition"].items() if name != "metrics"}
    print_facts(
        [
            ("experiment", f"{body['key']} ({body['kind']} on route {body['route']})"),
            ("status", state_of(body)),
            ("mode", definition.get("mode") if definition.get("mode") != "act" else None),
            ("shares", shares_of(body)),
            ("waiting for", awaited(body) if body["waiting_for"] else None),
            ("ended because", body["concluded_because"]),
            ("phase", body["phase"]),
            ("started", body["started_at"] and moment(body["started_at"])),
            ("stopped", body["stopped_at"] and moment(body["stopped_at"])),
            ("ETag", etag),
        ]
    )
    verdicts = (body["waiting_for"] or {}).get("verdicts") or []
    if verdicts:
        print_heading("Verdicts")
        print_facts((one["verdict"], one["sentence"]) for one in verdicts)
    print_heading("Definition")
    console().print(as_yaml(definition).rstrip(), soft_wrap=True)


def _description(kind: Kind) -> click.Command:
    @click.argument("key")
    @as_json
    @connected
    def command(api: Api, *, key: str, as_json: bool) -> None:
        from services.cli.control.client import address
        from services.cli.control.tables import console
        from services.cli.files.yaml_writing import as_yaml

        shown = api.get(address(kind.plural, key))
        if as_json:
            print_json(shown.body)
            return
        console().print(as_yaml(shown.body).rstrip(), soft_wrap=True)
        if shown.etag:
            console().print(f"ETag: {shown.etag}")

    return click.command(kind.name, help=f"Show one of {kind.about}.")(command)


for _kind in RESOURCES.values():
    if _kind.name not in describe.commands:
        describe.add_command(_description(_kind))
