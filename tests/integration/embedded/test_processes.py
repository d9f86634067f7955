"""Managed processes: start, stop, kill, and errors that say why."""

import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from services.embedded.errors import NotReady, ProcessDied
from services.embedded.processes import ManagedProcess
from services.embedded.readiness import await_ready

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(300)
"""


def python(tmp_path: Path, code: str, **options: object) -> ManagedProcess:
    return ManagedProcess(
        "a test program",
        [sys.executable, "-c", code],
        log_path=tmp_path / "log",
        **options,  # type: ignore[arg-type]
    )


def await_ready_line(process: ManagedProcess) -> None:
    await_ready(process, lambda: "ready" in process.log_of_this_run())


def test_it_runs_until_it_is_stopped(tmp_path: Path) -> None:
    with python(tmp_path, "import time; time.sleep(300)") as process:
        program = psutil.Process(process.pid)
        assert program.is_running()
    assert process.returncode == 128 + signal.SIGTERM
    assert not program.is_running()


def test_it_can_start_again_after_it_ended(tmp_path: Path) -> None:
    process = python(tmp_path, "print('once')")
    process.run_to_end(30)
    process.run_to_end(30)
    assert process.log_of_this_run() == "once\n"
    assert (tmp_path / "log").read_text() == "once\n" * 2


def test_it_is_killed_when_it_does_not_stop(tmp_path: Path) -> None:
    process = python(tmp_path, STUBBORN)
    process.start()
    await_ready_line(process)
    process.stop(timeout=0.1)
    assert process.returncode == 128 + signal.SIGKILL


def test_its_children_end_with_it(tmp_path: Path) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
    process = python(tmp_path, code)
    process.start()
    await_ready_line(process)
    (child,) = psutil.Process(process.pid).children()
    process.stop()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_an_early_end_is_an_error_with_the_log(tmp_path: Path) -> None:
    process = python(tmp_path, "print('the reason'); raise SystemExit(3)")
    process.start()
    with pytest.raises(ProcessDied, match=r"a test program ended with code 3(.|\n)*the reason"):
        await_ready_line(process)


def test_a_program_that_does_not_exist_is_an_error_with_its_name(tmp_path: Path) -> None:
    process = ManagedProcess("nothing", [str(tmp_path / "absent")], log_path=tmp_path / "log")
    with pytest.raises(ProcessDied, match=r"cannot start .*absent: .*No such file"):
        process.run_to_end(30)


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    process = ManagedProcess("nothing", ["true"], log_path=tmp_path / "absent" / "log")
    with pytest.raises(ProcessDied, match="its guard could not start"):
        process.start()


def test_a_server_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.embedded.readiness.READY_WITHIN_SECONDS", 0.1)
    process = python(tmp_path, "import time; time.sleep(300)")
    process.start()
    with pytest.raises(NotReady, match="a test program did not answer within"):
        await_ready(process, lambda: False)
    assert not process.running


def test_stopping_twice_or_what_never_started_does_nothing(tmp_path: Path) -> None:
    process = python(tmp_path, "pass")
    process.send_signal(signal.SIGTERM)
    process.run_to_end(30)
    process.stop()
    process.stop()
    assert process.returncode == 0


def test_it_can_be_paused_and_resumed(tmp_path: Path) -> None:
    with python(tmp_path, "import time; time.sleep(300)") as process:
        program = psutil.Process(process.pid)
        process.send_signal(signal.SIGSTOP)
        give_up_at = time.monotonic() + 5
        while program.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        process.send_signal(signal.SIGCONT)
