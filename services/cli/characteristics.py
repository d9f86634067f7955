"""``headgate characteristics``: the self-test of the statistics, with progress and a table."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict

# Vectors are short and each process has a core of its own: threads of linear algebra are in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
from rich.console import Console
from rich.table import Table

from analytics.characteristics import REQUESTS_WITHIN, Characteristic, Claim, characteristics, scenarios

_WIDTH_OF_A_FILE = 180


def run(*, quick: bool, as_json: bool, only: str | None, seed: int, processes: int) -> bool:
    """Run the self-test and show it; returns whether every claim holds."""
    every = scenarios()
    chosen = [scenario for scenario in every if only is None or only.casefold() in scenario.name.casefold()]
    if not chosen:
        raise click.BadParameter(f"no scenario's name contains {only!r}", param_hint="--only")
    started = time.monotonic()
    rows = characteristics(chosen, seed=seed, quick=quick, processes=processes)
    order = {scenario.name: place for place, scenario in enumerate(chosen)}
    done = sorted(_watched(rows, len(chosen)), key=lambda row: order[row.scenario])
    failed = [row for row in done if row.holds is False]
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    console.print(_table(done))
    console.print(_conclusion(done, failed, time.monotonic() - started, seed), highlight=False)
    if as_json:
        click.echo(json.dumps(_as_json(done, seed=seed, quick=quick)))
    return not failed


def _watched(rows: Iterable[Characteristic], scenarios_in_all: int) -> Iterator[Characteristic]:
    """Say on stderr which scenario is done, as it is."""
    done: set[str] = set()
    for row in rows:
        if row.scenario not in done:
            done.add(row.scenario)
            click.echo(f"{len(done)}/{scenarios_in_all}  {row.scenario}", err=True)
        yield row


def _table(rows: list[Characteristic]) -> Table:
    table = Table(title="What every policy does when the truth is known", title_justify="left")
    table.add_column("scenario", overflow="fold")
    table.add_column("policy", overflow="fold")
    for name in ("claimed", "holds", "acted wrongly", "acted", "requests", "limit", "× limit", "runs"):
        table.add_column(name, justify="right")
    before = None
    for row in rows:
        if row.scenario != before:
            table.add_section()
        table.add_row("" if row.scenario == before else row.scenario, *_cells(row))
        before = row.scenario
    return table


def _cells(row: Characteristic) -> tuple[str, ...]:
    holds = {True: "yes", False: "[bold red]NO[/]", None: ""}[row.holds]
    wrongly = "" if row.false_rate is None else f"{row.false_rate:.2%} (≤ {row.false_rate_upper:.2%})"
    limit = "" if row.limit_requests is None else f"{row.limit_requests:.1f}"
    times = "" if row.times_limit is None else f"{row.times_limit:.2f}"
    requests = f"{row.mean_requests:.1f} ± {row.mean_requests_error:.1f}"
    acted = f"{row.stopped:.1%}"
    return row.policy, _claimed(row), holds, wrongly, acted, requests, limit, times, str(row.n_runs)


def _claimed(row: Characteristic) -> str:
    match row.claim:
        case Claim.FALSE_RATE:
            return f"wrongly ≤ {row.alpha:.1%}"
        case Claim.COVERAGE:
            return "wrongly 3.5–6.5%"
        case Claim.REQUESTS:
            return f"× limit ≤ {REQUESTS_WITHIN}"
        case Claim.NONE:
            return ""


def _conclusion(done: list[Characteristic], failed: list[Characteristic], seconds: float, seed: int) -> str:
    claims = sum(row.holds is not None for row in done)
    said = [f"{claims - len(failed)} of {claims} claims hold; seed {seed}, {seconds:.0f} s"]
    said += [f"does not hold: {row.policy}, {row.scenario}" for row in failed]
    return "\n".join(said)


def _as_json(done: list[Characteristic], *, seed: int, quick: bool) -> dict[str, object]:
    return {
        "seed": seed,
        "quick": quick,
        "holds": all(row.holds is not False for row in done),
        "characteristics": [asdict(row) for row in done],
    }
