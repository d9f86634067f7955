"""Commands that print secrets, run for real."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.gateway.secret_commands import SecretCommands
from services.gateway.secret_references import SecretResolver

CANARY = "canary-that-must-not-be-told"


def python(code: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", code])


def printing(path: Path) -> str:
    return python(f"print(open({str(path)!r}).read())")


@asynccontextmanager
async def running(commands: dict[str, str], **options: Any) -> AsyncIterator[SecretCommands]:
    kept = SecretCommands(commands, **({"retry_seconds": 0.01} | options))
    task = asyncio.create_task(kept.keep_fresh())
    try:
        yield kept
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_secret_is_what_was_printed() -> None:
    async with running({"one": python(f"print({CANARY!r})")}) as commands:
        secrets = SecretResolver({}, commands=commands)
        assert secrets.resolve("command:one") is None
        assert commands.problems() == {"one": "has not been run yet"}
        await until(lambda: not commands.problems())
        assert secrets.resolve("command:one") == CANARY
        assert secrets.resolve("command:other") is None


async def test_only_what_is_set_on_the_gateway_is_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    async with running({}) as commands:
        assert SecretResolver({}, commands=commands).resolve(f"command:touch {made}") is None
    assert not made.exists()


async def test_there_is_no_shell() -> None:
    async with running({"one": python("import sys; print(sys.argv[1])") + " '$HOME;`id`'"}) as commands:
        await until(lambda: not commands.problems())
        assert commands.secret("one") == "$HOME;`id`"


async def test_it_is_run_again_before_the_token_expires(tmp_path: Path) -> None:
    path, now = tmp_path / "token", 1_000.0

    def token(secret: str, expires_on: float) -> None:
        new = tmp_path / "new"
        new.write_text(json.dumps({"accessToken": secret, "expires_on": expires_on}))
        new.replace(path)

    token("first", 1_001.0)
    async with running({"one": printing(path)}, clock=lambda: now) as commands:
        await until(lambda: commands.secret("one") == "first")
        token("second", 1_002.0)
        await until(lambda: commands.secret("one") == "second")


async def test_a_failing_command_leaves_what_it_printed_until_that_expires(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path, now = tmp_path / "token", 1_000.0
    path.write_text(json.dumps({"accessToken": CANARY, "expires_on": 1_001}))
    async with running({"one": printing(path)}, clock=lambda: now) as commands:
        await until(lambda: commands.secret("one") == CANARY)
        path.write_text(f"{CANARY} {CANARY}")
        await until(lambda: bool(commands.problems()))
        assert commands.problems() == {"one": "printed more than one word"}
        assert commands.secret("one") == CANARY
        now = 1_001.0
        assert commands.secret("one") is None
    assert "secret command one: printed more than one word" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (python(f"import sys; print({CANARY!r}); sys.exit(3)"), "ended with exit status 3"),
        ("/no/such/program", "cannot be started (FileNotFoundError)"),
        ("", "is empty"),
        (python("pass"), "printed nothing"),
    ],
)
async def test_what_can_go_wrong(command: str, problem: str) -> None:
    async with running({"one": command}) as commands:
        await until(lambda: commands.problems() == {"one": problem})
        assert commands.secret("one") is None


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(path)!r}, 'a').write(f'{{os.getpid()}} {{child.pid}} '); time.sleep(600)"
    )
    async with running({"one": python(code)}, timeout_seconds=1.0, retry_seconds=600) as commands:
        await until(lambda: commands.problems() == {"one": "took over 1 s"})
    for pid in path.read_text().split():
        await until(lambda pid=int(pid): not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
