"""The commands of analysts: what was found, and whether it holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

if TYPE_CHECKING:
    from services.storage.settings import DatabaseSettings

REPLAYS_ROLE = (
    "replay reads the inputs of decisions, which the role headgate_reader may not: give with --database-url "
    "or HEADGATE_DATABASE_URL the user of the services, who owns the tables"
)


@click.command()
@click.argument("experiment", required=False)
@click.option("--list", "list_them", is_flag=True, help="Name the experiments there are.")
@click.option("--database-url", help="Where the results are; by default HEADGATE_DATABASE_URL.")
@click.option("--out", type=click.Path(file_okay=False), help="The directory to write into.")
@click.option(
    "--format", "formats", default="csv,parquet", show_default=True, help="csv, parquet, or both by comma."
)
@click.option(
    "--phase", type=click.IntRange(min=1), help="Sum up and draw this phase; by default the newest."
)
@click.option("--figures", is_flag=True, help="Draw figures as well, as PNG and SVG.")
@click.option("--exposures", is_flag=True, help="Also write a row for each exposed unit.")
@click.option("--segments", is_flag=True, help="Also write the bucket sums of every segment.")
def report(
    experiment: str | None,
    *,
    list_them: bool,
    database_url: str | None,
    out: str | None,
    formats: str,
    phase: int | None,
    figures: bool,
    exposures: bool,
    segments: bool,
) -> None:
    """Export an experiment's results as files and figures, and sum them up."""
    import asyncio

    try:
        from services.cli.report import list_experiments, read, write
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("pandas", "pyarrow", "matplotlib"):
            raise
        message = f"{library} is not installed: pip install 'headgate[analysis]'"
        raise click.ClickException(message) from error

    settings = _settings(database_url)
    if list_them:
        with _understood(settings):
            click.echo(asyncio.run(list_experiments(settings)))
        return
    if experiment is None:
        raise click.UsageError("Name an experiment; --list shows which there are.")
    if out is None:
        raise click.UsageError(f"Say with --out which directory the report of {experiment} is written into.")
    wanted = frozenset(formats.split(","))
    if not wanted <= {"csv", "parquet"}:
        raise click.BadParameter("takes csv, parquet, or csv,parquet", param_hint="--format")
    directory = _made(Path(out))
    with _understood(settings):
        frames = asyncio.run(read(settings, experiment, exposures=exposures, segments=segments))
    click.echo(write(frames, directory, formats=wanted, figures=figures, phase=phase))


@click.command()
@click.argument("decision", type=click.UUID, metavar="DECISION")
@click.option("--database-url", help="Where the decision is; by default HEADGATE_DATABASE_URL.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of sentences.")
def replay(decision: UUID, *, database_url: str | None, as_json: bool) -> None:
    """Recompute a decision from the tables, and say whether it holds to the bit. Ends with 1 if not."""
    import asyncio

    from services.cli.replay import read_report
    from services.messaging.settings import KafkaSettings

    settings = _settings(database_url)
    with _understood(settings, where_denied=REPLAYS_ROLE):
        report = asyncio.run(read_report(decision, settings, KafkaSettings()))
    click.echo(report.to_json() if as_json else "\n".join(report.lines()))
    if not report.holds:
        sys.exit(1)


def _settings(database_url: str | None) -> DatabaseSettings:
    from services.storage.settings import DatabaseSettings

    return DatabaseSettings(database_url=database_url) if database_url else DatabaseSettings()


@contextmanager
def _understood(settings: DatabaseSettings, *, where_denied: str | None = None) -> Iterator[None]:
    """Say what is wrong with a database that cannot be read, to somebody who did not set it up."""
    from sqlalchemy.exc import DBAPIError

    from services.cli.failures import INSUFFICIENT_PRIVILEGE, of_database, sqlstate

    try:
        yield
    except DBAPIError as error:
        if where_denied and sqlstate(error) == INSUFFICIENT_PRIVILEGE:
            raise click.ClickException(where_denied) from error
        sentence = of_database(error, "HEADGATE_DATABASE_URL or --database-url")
        if sentence is None:
            raise
        if "database_url" not in settings.model_fields_set:
            sentence = (
                f"HEADGATE_DATABASE_URL is not set; set it, or give --database-url. Without it: {sentence}"
            )
        raise click.ClickException(sentence) from error


def _made(directory: Path) -> Path:
    """Make a directory before anything is read that would be lost without it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{directory} cannot be made ({error.strerror}); name a directory you may write with --out"
        raise click.ClickException(message) from error
    return directory


@click.command()
def contract() -> None:
    """Describe every table, view and function that analysts may rely on, as Markdown (docs/tables.md)."""
    import asyncio

    from services.cli.contract import describe
    from services.storage.settings import DatabaseSettings

    click.echo(asyncio.run(describe(DatabaseSettings())), nl=False)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer runs: about a minute on two cores.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
@click.option("--only", help="Only scenarios whose name contains this.")
@click.option("--seed", default=20261123, show_default=True, help="What the simulated traffic is drawn from.")
@click.option("--processes", type=click.IntRange(min=1), help="By default one for each core.")
def characteristics(
    *, quick: bool, as_json: bool, only: str | None, seed: int, processes: int | None
) -> None:
    """Test the statistics on simulated traffic whose truth is known. Exits with 1 when a claim fails."""
    import os

    from services.cli.characteristics import run

    cores = processes or os.cpu_count() or 1
    if not run(quick=quick, as_json=as_json, only=only, seed=seed, processes=cores):
        sys.exit(1)
