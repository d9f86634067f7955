"""The parent of a managed process: a script that outlives its owner by as long as it takes to clean up.

Run as ``python -I -S guard.py '<json>'``. It starts the program in a process group of its own and then
listens on its standard input: each byte is a signal number for that group, and the end of the input means
that the owner is gone, however it went. Then the group is asked to stop, killed after a grace period, and
the scratch directory removed. Being single-threaded, it may fork and prepare the child without races; being
the child's parent, it never signals a process id that has been reused. On Linux the child also dies with it.

It imports the standard library only and is never imported itself.
"""

import contextlib
import ctypes
import json
import os
import pwd
import select
import shutil
import signal
import sys
import time
from typing import NoReturn, TypedDict

PR_SET_PDEATHSIG = 1
OWNER_CHECK_SECONDS = 1.0
CANNOT_START = 127
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


class Program(TypedDict):
    """What to run, as the owner writes it into the first argument."""

    argv: list[str]
    log: str
    directory: str | None
    user_id: int | None
    stop_signal: int
    grace_seconds: float
    scratch: str | None


def main() -> None:
    program: Program = json.loads(sys.argv[1])
    owner = os.getppid()
    woken = wake_on_signals()
    child = start(program)
    with contextlib.suppress(OSError):  # the child does the same; whoever is late is refused
        os.setpgid(child, child)
    os.write(1, f"{child}\n".encode())
    os.close(1)
    status = serve(child, owner, woken)
    if status is None:
        status = stop(child, program["stop_signal"], program["grace_seconds"])
        if program["scratch"]:
            shutil.rmtree(program["scratch"], ignore_errors=True)
    signal_group(child, signal.SIGKILL)  # whatever the program left behind in its group
    code = os.waitstatus_to_exitcode(status)
    sys.exit(128 - code if code < 0 else code)


def wake_on_signals() -> int:
    """A pipe that becomes readable when the child ends or somebody asks this process to stop."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in HANDLED:
        signal.signal(number, lambda *_: None)
    return readable


def start(program: Program) -> int:
    log = os.open(program["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    guard = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # the child must not take a signal with our handlers
    child = os.fork()
    if child == 0:
        become(program, log, guard)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    os.close(log)
    return child


def become(program: Program, log: int, guard: int) -> NoReturn:
    """In the child: take on the program's identity and run it."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.setpgid(0, 0)
        for number in (*HANDLED, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        if program["directory"]:
            os.chdir(program["directory"])
        if program["user_id"] is not None:
            user = pwd.getpwuid(program["user_id"])
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if sys.platform == "linux":  # after setuid, which clears it
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(CANNOT_START)
        os.execvp(program["argv"][0], program["argv"])  # noqa: S606 - running the owner's program is the purpose
    except OSError as error:
        os.write(2, f"cannot start {program['argv'][0]}: {error}\n".encode())
    finally:
        os._exit(CANNOT_START)


def serve(child: int, owner: int, woken: int) -> int | None:
    """Pass signals on until the child ends (its wait status) or the owner is gone (None)."""
    while True:
        ready, _, _ = select.select([0, woken], [], [], OWNER_CHECK_SECONDS)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if os.getppid() != owner:
            return None
        if woken in ready and {signal.SIGTERM, signal.SIGINT} & set(os.read(woken, 512)):
            return None
        if 0 in ready:
            numbers = os.read(0, 512)
            if not numbers:
                return None
            for number in numbers:
                signal_group(child, number)


def stop(child: int, stop_signal: int, grace_seconds: float) -> int:
    signal_group(child, stop_signal)
    give_up_at = time.monotonic() + grace_seconds
    while time.monotonic() < give_up_at:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    signal_group(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def signal_group(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
