"""However the owner ends, its servers end with it and their temporary files are removed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

GONE_WITHIN_SECONDS = 20.0

OWNER = """
import json, signal, time
from services.embedded.stack import Stack

# A shell that starts the tests in the background has told their children to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

with Stack() as stack:
    servers = [stack.kafka, stack.postgres]
    print(json.dumps({
        "pids": [server.process.pid for server in servers],
        "places": [str(server.process.log_path.parent) for server in servers],
    }), flush=True)
    time.sleep(300)
"""


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A process that has a stack and sleeps."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        with suppress(ProcessLookupError):
            process.kill()


def what_it_started(owner: subprocess.Popen[str]) -> dict[str, Any]:
    assert owner.stdout is not None
    line = owner.stdout.readline()
    assert line, "the stack did not start; its error is in the captured standard error"
    started: dict[str, Any] = json.loads(line)
    return started


def below(pid: int) -> list[psutil.Process]:
    """The guards, the servers and the servers' children."""
    return psutil.Process(pid).children(recursive=True)


def await_true(condition: Callable[[], bool], message: str) -> None:
    give_up_at = time.monotonic() + GONE_WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, message
        time.sleep(0.02)


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_its_owner(owner: subprocess.Popen[str], number: signal.Signals) -> None:
    started = what_it_started(owner)
    processes = below(owner.pid)
    assert set(started["pids"]) < {process.pid for process in processes}
    os.killpg(owner.pid, number)  # as a terminal does it: to the whole group
    owner.wait(GONE_WITHIN_SECONDS)
    await_true(lambda: not any(map(runs, processes)), f"still running after {number.name}")
    await_true(
        lambda: not any(Path(place).exists() for place in started["places"]), "temporary files were left"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a child die with its parent")
def test_servers_die_when_their_guards_are_killed(owner: subprocess.Popen[str]) -> None:
    started = what_it_started(owner)
    processes = below(owner.pid)
    for process in processes:
        if process.ppid() == owner.pid:
            process.kill()
    await_true(lambda: not any(map(runs, processes)), "servers survived their guards")
    owner.send_signal(signal.SIGINT)
    owner.wait(GONE_WITHIN_SECONDS)
    assert not any(Path(place).exists() for place in started["places"])
