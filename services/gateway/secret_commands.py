"""Secrets that a command prints, such as the tokens of Entra ID: kept fresh in the background.

Which commands there are is set on the gateway itself. Definitions that come from the control plane can name
one of them and nothing else, so that whoever may change definitions cannot run anything here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from services.gateway.tokens import Token, UnreadableToken, read_token

logger = logging.getLogger(__name__)


class CommandFailed(Exception):
    """A command gave no secret. The message never repeats what it printed."""


@dataclass(slots=True)
class _State:
    token: Token | None = None
    problem: str | None = "has not been run yet"


class SecretCommands:
    """Runs each command, and again before what it printed expires. ``clock`` is wall time in seconds."""

    def __init__(
        self,
        commands: Mapping[str, str],
        *,
        timeout_seconds: float = 30.0,
        retry_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._commands = {name: tuple(shlex.split(line)) for name, line in commands.items()}
        self._timeout_seconds = timeout_seconds
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._states = {name: _State() for name in commands}

    def secret(self, name: str) -> str | None:
        """Return what the command printed last, unless it has expired."""
        state = self._states.get(name)
        if state is None or state.token is None or state.token.expires_at <= self._clock():
            return None
        return state.token.secret

    def problems(self) -> dict[str, str]:
        """Return what is wrong with each command whose last run gave no secret."""
        return {name: state.problem for name, state in self._states.items() if state.problem is not None}

    async def keep_fresh(self) -> None:
        """Run every command whenever it is due, for ever."""
        async with asyncio.TaskGroup() as group:
            for name in self._commands:
                group.create_task(self._keep_fresh(name))

    async def _keep_fresh(self, name: str) -> None:
        while True:
            due_in_seconds = await self._refresh(name)
            await asyncio.sleep(due_in_seconds)

    async def _refresh(self, name: str) -> float:
        """Run the command; return after how many seconds it is due again."""
        state = self._states[name]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                state.token = read_token(await _output_of(self._commands[name]), self._clock())
        except TimeoutError:
            problem: str | None = f"took over {self._timeout_seconds:g} s"
        except (CommandFailed, UnreadableToken) as error:
            problem = str(error)
        else:
            problem = None
        if problem != state.problem:
            _log(name, problem)
        state.problem = problem
        if problem is None and state.token is not None:
            return state.token.refresh_after_seconds(self._clock())
        return self._retry_seconds


def _log(name: str, problem: str | None) -> None:
    if problem is None:
        logger.info("secret command %s: works", name)
    else:
        logger.warning("secret command %s: %s; run it by hand on this machine to see why", name, problem)


async def _output_of(command: tuple[str, ...]) -> bytes:
    if not command:
        raise CommandFailed("is empty")
    try:
        # Its own session, so that whatever it starts ends with it.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise CommandFailed(f"cannot be started ({type(error).__name__})") from None
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
    if process.returncode != 0:
        raise CommandFailed(f"ended with exit status {process.returncode}")
    return output
