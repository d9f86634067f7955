"""The commands that run Headgate's services. Each imports its service when it runs."""

from __future__ import annotations

import sys

import click

from services.cli import running


@click.command()
@click.option("--processes", default=1, show_default=True, help="Processes that serve the one port.")
def gateway(processes: int) -> None:
    """Serve clients: the data plane."""
    from services.gateway.app import serve
    from services.gateway.memory import serve_only
    from services.gateway.place import Place
    from services.gateway.processes import run_processes
    from services.gateway.settings import GatewaySettings
    from services.messaging.settings import KafkaSettings

    settings, kafka = GatewaySettings(), KafkaSettings()

    def run(place: Place) -> None:
        serve_only()
        running.serve(lambda stop: serve(settings, kafka, stop, place=place))

    if processes > 1:
        running.set_up_logging()
        sys.exit(run_processes(processes, settings, run))
    run(Place())


@click.command()
def api() -> None:
    """Serve product teams: the control plane."""
    from services.api.app import serve
    from services.api.settings import ApiSettings
    from services.storage.settings import DatabaseSettings

    running.serve(lambda stop: serve(ApiSettings(), DatabaseSettings(), stop))


@click.command()
def routing() -> None:
    """Apply decisions to the traffic, and publish configuration."""
    from services.messaging.settings import KafkaSettings
    from services.routing.app import serve
    from services.routing.settings import RoutingSettings
    from services.storage.settings import DatabaseSettings

    running.serve(lambda stop: serve(RoutingSettings(), KafkaSettings(), DatabaseSettings(), stop))


@click.command()
def worker() -> None:
    """Count outcomes exactly once, evaluate experiments, record decisions."""
    from services.messaging.settings import KafkaSettings
    from services.storage.settings import DatabaseSettings
    from services.workers.app import main as run_worker
    from services.workers.settings import WorkerSettings

    running.set_up_logging()
    run_worker(WorkerSettings(), KafkaSettings(), DatabaseSettings())


@click.command()
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


@click.command()
def provider() -> None:
    """Serve the simulated LLM provider: OpenAI-compatible, with latency, errors and faults on request."""
    from services.demo.provider import serve
    from services.demo.provider_settings import ProviderSettings

    running.serve(lambda stop: serve(ProviderSettings(), stop))


@click.command()
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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
@click.option("--seed", default=20261123, show_default=True, help="What the simulated traffic is drawn from.")
def demo(as_json: bool, seed: int) -> None:
    """Watch a bad canary being pulled and a good one promoted. Ends by itself."""
    from services.demo.demo import run_demo

    running.serve(lambda stop: run_demo(seed=seed, as_json=as_json, stop=stop), quiet=True)
