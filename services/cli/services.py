"""The commands that run Headgate's services. Each imports its service when it runs."""

from __future__ import annotations

import sys

import click

from services.cli import running
from services.domain.assignment import ANALYSIS_BUCKETS


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that serve the one port.",
)
def gateway(processes: int) -> None:
    """Serve clients: the data plane."""
    from services.cli.process_memory import SERVING, set_up_memory
    from services.gateway.app import serve
    from services.gateway.place import Place
    from services.gateway.processes import run_processes
    from services.gateway.settings import GatewaySettings
    from services.messaging.settings import KafkaSettings

    settings, kafka = GatewaySettings(), KafkaSettings()

    def run(place: Place) -> None:
        set_up_memory(SERVING)
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
    from services.cli.exposing import metrics_at
    from services.messaging.settings import KafkaSettings
    from services.routing.app import serve
    from services.routing.metrics import RoutingMetrics
    from services.routing.settings import RoutingSettings
    from services.storage.settings import DatabaseSettings

    settings, metrics = RoutingSettings(), RoutingMetrics()
    host, port = settings.routing_metrics_host, settings.routing_metrics_port
    running.set_up_logging()
    with metrics_at(host, port, metrics.registry):
        running.serve(lambda stop: serve(settings, KafkaSettings(), DatabaseSettings(), stop, metrics))


@click.command()
def worker() -> None:
    """Count outcomes exactly once, evaluate experiments, record decisions."""
    from services.cli.exposing import metrics_at
    from services.cli.process_memory import COUNTING, set_up_memory
    from services.messaging.settings import KafkaSettings
    from services.storage.settings import DatabaseSettings
    from services.workers.app import main as run_worker
    from services.workers.metrics import WorkerMetrics
    from services.workers.settings import WorkerSettings

    running.set_up_logging()
    settings, metrics = WorkerSettings(), WorkerMetrics()
    set_up_memory(COUNTING)
    with metrics_at(settings.metrics_host, settings.metrics_port, metrics.registry):
        run_worker(settings, KafkaSettings(), DatabaseSettings(), metrics)


@click.command()
@click.option(
    "--outcome-partitions",
    type=click.IntRange(1, ANALYSIS_BUCKETS),
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
    """Serve the simulated LLM provider: OpenAI-compatible, with latency, errors and faults on request.

    A model's name says how it behaves: sim:latency_ms=300,error_rate=0.02 (any other name answers at once,
    without errors). Options, and what they are unless said:

    \b
      latency_ms=0        median latency; log-normal, with
      latency_sigma=0.3   this standard deviation of its logarithm
      tokens=16           length of an answer
      token_ms=0          time between the tokens of a stream
      cached_fraction=0   of a prompt's tokens, said to have been cached
      error_rate=0        fraction of requests that fail with
      error_status=500    this status
      rate_limit_rate=0, content_filter_rate=0, hang_rate=0, refuse_rate=0, broken_rate=0
                          fractions of requests that meet another fault
      slow_ms=1000        how late the first byte of the fault "slow" comes

    One request chooses its own fault with the header x-sim-fault or, through a gateway, with
    "metadata": {"sim_fault": "hang"} in its body:

    \b
      error, error_inside, overloaded, rate_limit, unauthorized, forbidden, not_found, bad_request,
      unprocessable, content_filter, content_filter_400, timeout_408, hang, refuse, garbage,
      wrong_length, truncated, broken, broken_early, stall, slow

    PUT /control/{model} changes a model while it runs ({"error_rate": 0.3}), GET /control/stats counts what
    each has done, POST /control/reset forgets it.

    HEADGATE_PROVIDER_HOST and HEADGATE_PROVIDER_PORT say where it listens.
    """
    from services.demo.provider import serve
    from services.demo.provider_settings import ProviderSettings

    running.serve(lambda stop: serve(ProviderSettings(), stop))


@click.command()
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Worker processes.")
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
