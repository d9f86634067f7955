"""``headgate watch``: an experiment followed to its end, a line for each change."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from services.cli.control.options import connected

if TYPE_CHECKING:
    from services.cli.control.client import Api

Show = Callable[[Any, str | None], None]
"""Shows an experiment: as progress, and with a line where something changed."""


@click.command()
@click.argument("key")
@click.option(
    "--until",
    type=click.Choice(["running", "deployed", "watch", "paused", "stopped"]),
    default="stopped",
    show_default=True,
    help="Only until it has come this far; it is always the end when it is stopped.",
)
@click.option("--timeout", type=click.FloatRange(min=0), help="Give up after so many seconds; ends with 1.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds between looks.",
)
@click.option("--exit-status", is_flag=True, help="End with 1 where it is stopped and not promoted.")
@click.option("--json", "as_json", is_flag=True, help="The experiment as a line of JSON for each change.")
@connected
def watch(
    api: Api,
    *,
    key: str,
    until: str,
    timeout: float | None,
    interval: float,
    exit_status: bool,
    as_json: bool,
) -> None:
    """Follow an experiment until it ends.

    \b
    Examples:
      headgate watch new-model
      headgate watch new-model --until watch --timeout 3600
      headgate watch new-model --exit-status && deploy-the-rest
    """
    from services.cli.control.client import address

    with _shown(as_json=as_json) as show:
        last = follow(api, address("experiments", key), show, _pauses(key, interval, timeout), until=until)
    if exit_status and last["status"] == "stopped" and last["conclusion"] != "promoted":
        raise click.exceptions.Exit(1)


def follow(api: Api, path: str, show: Show, pause: Callable[[], None], *, until: str = "stopped") -> Any:
    """Show each change until the experiment has come as far as ``until``, and return it as it is then.

    A control plane that is away for a while is waited for; only the first look must succeed.
    """
    from services.cli.control.refusals import Unreachable

    now = api.get(path).body
    for line in changes(None, now):
        show(now, line)
    away = False
    while not _has_come_to(now, until):
        pause()
        try:
            before, now = now, api.get(path).body
        except Unreachable as failure:
            show(now, None if away else failure.message)
            away = True
            continue
        away = False
        show(now, None)
        for line in changes(before, now):
            show(now, line)
    return now


def _has_come_to(experiment: Any, until: str) -> bool:
    return experiment["status"] == "stopped" or until in (experiment["status"], experiment.get("stage"))


def _pauses(key: str, interval: float, timeout: float | None) -> Callable[[], None]:
    deadline = None if timeout is None else time.monotonic() + timeout

    def pause() -> None:
        from services.cli.control.refusals import ControlFailure

        if deadline is not None and time.monotonic() >= deadline:
            raise ControlFailure(
                f"{key} has not come so far after {timeout:g} s; it goes on without being watched"
            )
        time.sleep(interval)

    return pause


def changes(before: Any | None, now: Any) -> Iterator[str]:
    """Return a line for each thing that is not as it was. What an experiment waits for counts by its rule:
    the figures in the sentence change all the time."""
    from services.cli.control.kinds import shares_of, state_of

    if before is None or before["phase"] != now["phase"]:
        yield f"phase {now['phase']}"
    if before is None or (state_of(before), shares_of(before)) != (state_of(now), shares_of(now)):
        yield f"{state_of(now)}: {shares_of(now)}"
    waiting = now["waiting_for"]
    if waiting and (before is None or _rule(before) != waiting["rule"]):
        yield f"waiting for: {waiting['sentence']}"
    if now["concluded_because"] and (before is None or not before["concluded_because"]):
        yield f"because {now['concluded_because']}"


def _rule(experiment: Any) -> str | None:
    waiting = experiment["waiting_for"]
    return waiting["rule"] if waiting else None


def _shown(*, as_json: bool) -> AbstractContextManager[Show]:
    if as_json:
        return _as_json()
    return _in_place() if sys.stdout.isatty() else _as_lines()


@contextmanager
def _as_json() -> Iterator[Show]:
    shown: list[Any] = []

    def show(experiment: Any, line: str | None) -> None:
        if line is not None and (not shown or shown[-1] is not experiment):
            shown[:] = [experiment]
            click.echo(json.dumps(experiment, ensure_ascii=False))

    yield show


@contextmanager
def _as_lines() -> Iterator[Show]:
    def show(_experiment: Any, line: str | None) -> None:
        if line is not None:
            click.echo(_timed(line))

    yield show


@contextmanager
def _in_place() -> Iterator[Show]:
    """Lines that stay, and below them what the experiment is waiting for right now."""
    from rich.text import Text

    from services.cli.control.kinds import awaited
    from services.cli.control.tables import console

    terminal = console()
    with terminal.status("") as status:

        def show(experiment: Any, line: str | None) -> None:
            if line is not None:
                terminal.print(_timed(line))
            status.update(Text(f"{awaited(experiment)}{_progress(experiment)}"))

        yield show


def _progress(experiment: Any) -> str:
    waiting = experiment["waiting_for"]
    if not waiting or waiting["have"] is None or not waiting["need"]:
        return ""
    return f" ({min(waiting['have'] / waiting['need'], 1):.0%})"


def _timed(line: str) -> str:
    from services.cli.control.tables import text

    return f"{datetime.now().astimezone():%H:%M:%S}  {text(line)}"
