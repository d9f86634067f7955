"""The commands of analysts: what was found, and whether it holds."""

from __future__ import annotations

import sys
from uuid import UUID

import click


@click.command()
@click.argument("experiment", required=False)
@click.option("--list", "list_them", is_flag=True, help="Name the experiments there are.")
@click.option("--database-url", help="Where the results are; by default HEADGATE_DATABASE_URL.")
@click.option("--out", type=click.Path(file_okay=False), help="The directory to write into.")
@click.option(
    "--format", "formats", default="csv,parquet", show_default=True, help="csv, parquet, or both by comma."
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
    figures: bool,
    exposures: bool,
    segments: bool,
) -> None:
    """Export an experiment's results as files and figures, and sum them up."""
    import asyncio
    from pathlib import Path

    from services.storage.settings import DatabaseSettings

    try:
        from services.cli.report import list_experiments, read, write
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("pandas", "pyarrow", "matplotlib"):
            raise
        message = f"{library} is not installed: pip install 'headgate[analysis]'"
        raise click.ClickException(message) from error

    settings = DatabaseSettings(database_url=database_url) if database_url else DatabaseSettings()
    if list_them:
        click.echo(asyncio.run(list_experiments(settings)))
        return
    if experiment is None:
        raise click.UsageError("Name an experiment; --list shows which there are.")
    if out is None:
        raise click.UsageError(f"Say with --out which directory the report of {experiment} is written into.")
    wanted = frozenset(formats.split(","))
    if not wanted <= {"csv", "parquet"}:
        raise click.BadParameter("takes csv, parquet, or csv,parquet", param_hint="--format")
    frames = asyncio.run(read(settings, experiment, exposures=exposures, segments=segments))
    click.echo(write(frames, Path(out), formats=wanted, figures=figures))


@click.command()
@click.argument("decision", type=click.UUID, metavar="DECISION")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of sentences.")
def replay(decision: UUID, as_json: bool) -> None:
    """Recompute a decision from the tables, and say whether it holds to the bit. Ends with 1 if not."""
    import asyncio

    from services.cli.replay import read_report
    from services.messaging.settings import KafkaSettings
    from services.storage.settings import DatabaseSettings

    report = asyncio.run(read_report(decision, DatabaseSettings(), KafkaSettings()))
    click.echo(report.to_json() if as_json else "\n".join(report.lines()))
    if not report.holds:
        sys.exit(1)


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
