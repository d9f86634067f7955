"""``headgate apply``, ``diff``, ``export`` and ``schema``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from services.cli.control.options import connected, print_json
from services.cli.files.kinds import KINDS

if TYPE_CHECKING:
    from services.cli.control.client import Api
    from services.cli.files.applying import Applied
    from services.cli.files.documents import Document

FAULTY = 2
"""The exit status where files cannot be used as they are: nothing was asked of the control plane."""

_files = click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A file, a directory, or - for standard input; may be repeated.",
)


@click.command()
@_files
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and what stands in the way; do nothing."
)
@click.option("--json", "as_json", is_flag=True, help="What came of each document, as JSON.")
@connected
def apply(api: Api, *, files: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Create and replace what files define. Repeating it changes nothing.

    Endpoints come first, then variants, routes, metrics and experiments. An experiment is created as a draft,
    and started only where its document says `start: true`; nothing is ever stopped by a file. Ends with 1
    where something is refused, and with 2, before anything is done, where a file has a fault.

    \b
    Examples:
      headgate apply -f experiments/
      headgate apply -f canary.yaml --dry-run
      headgate export --all | headgate apply -f - --api-url https://other.example.com
    """
    from services.cli.files import applying

    documents = _documents(files)
    done = []
    for one in (applying.rehearse if dry_run else applying.apply)(api, documents):
        done.append(one)
        if not as_json:
            _say(one, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "items": [_plain(one) for one in done]})
    if any(one.faults for one in done):
        raise click.exceptions.Exit(1)


@click.command()
@_files
@connected
def diff(api: Api, *, files: tuple[str, ...]) -> None:
    """Show what `apply` would change. Ends with 1 where there are differences.

    \b
    Example:
      headgate diff -f experiments/
    """
    from services.cli.files.comparing import differences

    found = list(differences(api, _documents(files)))
    click.echo("".join(found), nl=False)
    if found:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "everything", is_flag=True, help="Everything: of the kind, or of every kind.")
@connected
def export(api: Api, *, kind: str | None, keys: tuple[str, ...], everything: bool) -> None:
    """Print definitions as the YAML that `apply` takes.

    \b
    Examples:
      headgate export experiment new-model > new-model.yaml
      headgate export variant --all
      headgate export --all > everything.yaml
    """
    from services.cli.files import exporting

    if everything == bool(keys) or (kind is None and keys):
        raise click.UsageError("Name a kind and its keys, or say --all.")
    chosen = [kind] if kind else KINDS
    found = (
        exporting.export_all(api, chosen) if kind is None or everything else exporting.export(api, kind, keys)
    )
    click.echo(exporting.as_file(found), nl=False)


@click.command()
def schema() -> None:
    """Print the JSON Schema of files, for editors (docs/experiment.schema.json)."""
    from services.api.files import schema as schema_of_files

    print_json(schema_of_files())


def _documents(files: Iterable[str]) -> list[Document]:
    from services.cli.files.definitions import check
    from services.cli.files.documents import FaultyFiles, read_files

    try:
        documents = read_files(files)
        check(documents)
    except FaultyFiles as error:
        click.echo(f"{error}\nheadgate: nothing was done", err=True)
        raise click.exceptions.Exit(FAULTY) from error
    return documents


def _say(one: Applied, *, dry_run: bool) -> None:
    for fault in one.faults:
        click.echo(str(fault), err=True)
    outcome = f"would be {one.outcome}" if dry_run and one.outcome != "unchanged" else one.outcome
    click.echo(f"{one.document.name} {outcome}" + (f" ({one.note})" if one.note else ""))


def _plain(one: Applied) -> dict[str, Any]:
    return {
        "kind": one.document.kind,
        "key": one.document.key,
        "outcome": one.outcome,
        "note": one.note,
        "file": one.document.file,
        "line": one.document.line,
        "faults": [
            {"line": fault.place.line, "field": fault.field, "message": fault.message} for fault in one.faults
        ],
    }
