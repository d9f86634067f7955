"""``headgate``: every service and tool is a command of this one.

Services are imported when their command runs, so that each process loads only what it needs.
"""

from __future__ import annotations

import sys
from uuid import UUID

import click

from services.cli import running
from services.cli.failures import sentence_of


class _Commands(click.Group):
    """Commands whose expected errors are a sentence, not a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            click.echo(f"headgate: {sentence}", err=True)
            sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headgate")
def main() -> None:
    """Measured canaries behind an OpenAI-compatible gateway.

    `headgate demo` shows the loop at work, `headgate dev` keeps the whole product running on this machine.
    Services read their settings from the environment:

    \b
    HEADGATE_KAFKA          bootstrap servers (127.0.0.1:9092)
    HEADGATE_DATABASE_URL   postgresql://user:password@host:5432/name
    HEADGATE_TOPIC_PREFIX   put before every topic and group
    HEADGATE_ADMIN_KEY      api: who has it controls all traffic
    HEADGATE_API_HOST, HEADGATE_API_PORT             127.0.0.1, 8081
    HEADGATE_GATEWAY_HOST, HEADGATE_GATEWAY_PORT     127.0.0.1, 8080
    HEADGATE_GATEWAY_STATE_DIR                       snapshot and journals
    HEADGATE_LOG_LEVEL                               INFO
    """


@main.command()
@click.option("--processes", default=1, show_default=True, help="Processes that serve the one port.")
def gateway(processes: int) -> None:
    """Serve clients: the data plane."""
    from services.gateway.app import serve
    from services.gateway.place import Place
    from services.gateway.processes import run_processes
    from services.gateway.settings import GatewaySettings
    from services.messaging.settings import KafkaSettings

    settings, kafka = GatewaySettings(), KafkaSettings()

    def run(place: Place) -> None:
        running.serve(lambda stop: serve(settings, kafka, stop, place=place))

    if processes > 1:
        running.set_up_logging()
        sys.exit(run_processes(processes, settings, run))
    run(Place())


@main.command()
def api() -> None:
    """Serve product teams: the control plane."""
    from services.api.app import serve
    from services.api.settings import ApiSettings
    from services.storage.settings import DatabaseSettings

    running.serve(lambda stop: serve(ApiSettings(), DatabaseSettings(), stop))


@main.command()
def routing() -> None:
    """Apply decisions to the traffic, and publish configuration."""
    from services.messaging.settings import KafkaSettings
    from services.routing.app import serve
    from services.routing.settings import RoutingSettings
    from services.storage.settings import DatabaseSettings

    running.serve(lambda stop: serve(RoutingSettings(), KafkaSettings(), DatabaseSettings(), stop))


@main.command()
def worker() -> None:
    """Count outcomes exactly once, evaluate experiments, record decisions."""
    from services.messaging.settings import KafkaSettings
    from services.storage.settings import DatabaseSettings
    from services.workers.app import main as run_worker
    from services.workers.settings import WorkerSettings

    running.set_up_logging()
    run_worker(WorkerSettings(), KafkaSettings(), DatabaseSettings())


@main.command()
@click.option(
    "--outcome-partitions",
    default=8,
    show_default=True,
    help="Partitions of outcomes.v1. Fixed when the installation is created; later calls must agree.",
)
def migrate(outcome_partitions: int) -> None:
    """Bring the database's schema and the topics up to date. Safe to repeat."""
    import asyncio

    from services.api.setup import migrate_everything
    from services.messaging.settings import KafkaSettings
    from services.storage.settings import DatabaseSettings

    running.set_up_logging()
    asyncio.run(migrate_everything(DatabaseSettings(), KafkaSettings(), outcome_partitions))
    click.echo("schema, topics and installation are up to date", err=True)


@main.command()
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


@main.command()
def provider() -> None:
    """Serve the simulated LLM provider: OpenAI-compatible, with latency, errors and faults on request."""
    from services.demo.provider import serve
    from services.demo.provider_settings import ProviderSettings

    running.serve(lambda stop: serve(ProviderSettings(), stop))


@main.command()
@click.option("--workers", default=1, show_default=True, help="Worker processes.")
@click.option(
    "--data", type=click.Path(file_okay=False), help="Keep the data here instead of throwing it away."
)
def dev(workers: int, data: str | None) -> None:
    """Keep the whole product running on this machine, on a real Kafka and Postgres out of packages."""
    from pathlib import Path

    from services.demo.dev import run_dev

    running.serve(
        lambda stop: run_dev(workers=workers, data=Path(data) if data else None, stop=stop), quiet=True
    )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
@click.option("--seed", default=20261123, show_default=True, help="What the simulated traffic is drawn from.")
def demo(as_json: bool, seed: int) -> None:
    """Watch a bad canary being pulled and a good one promoted. Ends by itself."""
    from services.demo.demo import run_demo

    running.serve(lambda stop: run_demo(seed=seed, as_json=as_json, stop=stop), quiet=True)


@main.command()
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
    if experiment is None or out is None:
        raise click.UsageError("Name an experiment and, with --out, a directory; --list names experiments.")
    wanted = frozenset(formats.split(","))
    if not wanted <= {"csv", "parquet"}:
        raise click.BadParameter("takes csv, parquet, or csv,parquet", param_hint="--format")
    frames = asyncio.run(read(settings, experiment, exposures=exposures, segments=segments))
    click.echo(write(frames, Path(out), formats=wanted, figures=figures))


@main.command()
def contract() -> None:
    """Describe every table, view and function that analysts may rely on, as Markdown (docs/tables.md)."""
    import asyncio

    from services.cli.contract import describe
    from services.storage.settings import DatabaseSettings

    click.echo(asyncio.run(describe(DatabaseSettings())), nl=False)


@main.command()
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


if __name__ == "__main__":
    main()
