"""Provider secrets, by reference: ``env:NAME``, ``file:PATH``, or ``command:NAME`` of a command set here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from services.gateway.secret_commands import SecretCommands

LOOK_AGAIN_SECONDS = 1.0


class SecretResolver:
    """Finds secrets; a file's is read again when the file has changed, looked at once a second."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        commands: SecretCommands | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._clock = clock
        self.commands = SecretCommands({}) if commands is None else commands
        self._found: dict[str, tuple[float, int, str | None]] = {}

    def resolve(self, reference: str) -> str | None:
        """Return the secret, or None where the reference leads nowhere."""
        held = self._found.get(reference)
        now = self._clock()
        if held is not None and now < held[0]:
            return held[2]
        kind, _, place = reference.partition(":")
        if kind == "command":
            # Not remembered here: it expires to the second.
            return self.commands.secret(place)
        modified, secret = 0, None
        if kind == "env":
            secret = self._environment.get(place)
        elif kind == "file":
            modified, secret = _from_file(Path(place), held)
        self._found[reference] = (now + LOOK_AGAIN_SECONDS, modified, secret or None)
        return secret or None


def _from_file(path: Path, held: tuple[float, int, str | None] | None) -> tuple[int, str | None]:
    try:
        modified = path.stat().st_mtime_ns
        if held is not None and held[1] == modified:
            return modified, held[2]
        return modified, path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return 0, None
