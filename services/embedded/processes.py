"""Child processes that never outlive this one, whether it ends by return, Ctrl-C, kill -9 or a crash.

Each child runs below a small guard process (see ``guard.py``) that holds the read end of a pipe. The kernel
closes the write end when this process ends in any way; the guard then stops the child and everything in its
process group. Ctrl-C in a terminal reaches neither of them, so the owner decides the order of stopping.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from services.embedded.errors import ProcessDied

GUARD = Path(__file__).with_name("guard.py")


class ManagedProcess:
    """A program that runs until it is stopped, and never longer than this process.

    Args:
        name: what to call it in errors
        argv: the program and its arguments
        log_path: where its output is appended
        env: its whole environment; this process's when None
        directory: its working directory
        user_id: the user to run as, when this process is root
        stop_signal: how to ask it to end in order
        grace_seconds: how long it may take to end once this process is gone
        scratch: a directory to remove if this process goes without stopping it
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        directory: Path | None = None,
        user_id: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float = 10.0,
        scratch: Path | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._env = None if env is None else dict(env)
        self._stop_signal = stop_signal
        self._program = json.dumps(
            {
                "argv": list(argv),
                "log": str(log_path),
                "directory": None if directory is None else str(directory),
                "user_id": user_id,
                "stop_signal": int(stop_signal),
                "grace_seconds": grace_seconds,
                "scratch": None if scratch is None else str(scratch),
            }
        )
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._log_start = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The program's own process id (not the guard's)."""
        if self._pid is None:
            raise ProcessDied(f"{self.name} was never started")
        return self._pid

    @property
    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs, else as a shell shows it: 128 + n when signal n ended it."""
        return None if self._guard is None else self._guard.poll()

    def start(self) -> None:
        """Start it; returns when it has a process id, which says nothing about being ready."""
        if self.running:
            return
        if self._guard is not None:  # it ended by itself, and nobody has waited for it
            self._reap(None)
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        guard = subprocess.Popen(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-I", "-S", str(GUARD), self._program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
            bufsize=0,
            start_new_session=True,
        )
        assert guard.stdout is not None  # noqa: S101 - asked for above
        with guard.stdout as status:
            answer = status.read(32)
        self._guard = guard
        if not answer:
            self._reap(None)
            raise ProcessDied(f"{self.name}: its guard could not start{self.tail_for_error()}")
        self._pid = int(answer)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to end, and kill it when it has not ended after ``timeout`` seconds."""
        self.send_signal(self._stop_signal)
        try:
            self.wait(timeout)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.send_signal(signal.SIGKILL)
        self.wait(None)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal its whole process group; nothing happens when it has ended."""
        guard = self._guard
        if guard is None or guard.stdin is None or guard.stdin.closed or guard.poll() is not None:
            return
        try:
            os.write(guard.stdin.fileno(), bytes([number]))
        except BrokenPipeError:  # it has just ended
            return

    def wait(self, timeout: float | None) -> int:
        """Its return code once it has ended; TimeoutError when it still runs after ``timeout`` seconds."""
        if self._guard is None:
            raise ProcessDied(f"{self.name} was never started")
        return self._reap(timeout)

    def run_to_end(self, timeout: float) -> None:
        """Start it and return when it has ended well; ProcessDied or TimeoutError otherwise."""
        self.start()
        try:
            code = self.wait(timeout)
        except BaseException:
            self.kill()
            raise
        if code:
            raise ProcessDied(f"{self.name} ended with code {code}{self.tail_for_error()}")

    def raise_if_dead(self) -> None:
        """ProcessDied with the tail of the log, unless it runs."""
        if not self.running:
            raise ProcessDied(f"{self.name} ended with code {self.returncode}{self.tail_for_error()}")

    def log_of_this_run(self) -> str:
        """What it has written since it was last started."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail_for_error(self, lines: int = 25) -> str:
        """The last lines of this run's log, as the end of an error message."""
        last = self.log_of_this_run().splitlines()[-lines:]
        return "; its log is empty" if not last else "; its log ends with:\n  " + "\n  ".join(last)

    def _reap(self, timeout: float | None) -> int:
        guard = self._guard
        assert guard is not None  # noqa: S101 - checked by the callers
        try:
            code = guard.wait(timeout)
        except subprocess.TimeoutExpired as late:
            raise TimeoutError(f"{self.name} still runs after {timeout} s") from late
        if guard.stdin is not None:
            guard.stdin.close()
        return code
