"""Jars are used only when they are the locked ones, and fetched once however many ask at once."""

import gc
import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.embedded.errors import DownloadFailed, EmbeddedError, JarMismatch
from services.embedded.jars import JarLock, class_path

CONTENT = b"the content of a jar"
GOOD = hashlib.sha256(CONTENT).hexdigest()
BAD = hashlib.sha256(b"something else").hexdigest()
PATH = Path("org/example/thing/1.0/thing-1.0.jar")

Lock = Callable[..., JarLock]


class Repository(BaseHTTPRequestHandler):
    """A Maven repository with one jar."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = CONTENT if self.path == f"/{PATH}" else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the only repository is asked for; the machine's own Maven directory is empty."""
    paths: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Recording", (Repository,), {"asked": paths})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        settings = tmp_path / "jgo.conf"
        settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{server.server_port}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
        yield paths
        server.shutdown()
        thread.join()
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # jgo leaves the connection of an answer it does not read open


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    def write(sha256: str = GOOD, coordinate: str = "org.example:thing:1.0") -> JarLock:
        path = tmp_path / "lock.toml"
        path.write_text(f'roots = ["{coordinate}"]\n[jars]\n"{coordinate}" = "{sha256}"\n')
        return JarLock.read(path)

    return write


def silent(_: str) -> None:
    pass


def test_the_committed_lock_names_every_jar_with_its_sum() -> None:
    lock = JarLock.read()
    assert lock.kafka_version == "4.1.0"
    assert {"kafka_2.13", "kafka-clients", "log4j-slf4j-impl"} <= {jar.artifact for jar in lock.jars}
    assert all(len(jar.sha256) == 64 for jar in lock.jars)
    assert len({jar.file_name for jar in lock.jars}) == len(lock.jars)


def test_a_jar_is_fetched_once_and_progress_is_said(asked: list[str], lock: Lock, tmp_path: Path) -> None:
    said: list[str] = []
    (jar,) = class_path(lock(), said.append, tmp_path)
    assert class_path(lock(), said.append, tmp_path) == [jar]
    assert jar.read_bytes() == CONTENT
    assert asked.count(f"/{PATH}") == 1
    assert len(said) == 2
    assert "1 of 1" in said[-1]


def test_many_that_ask_at_once_fetch_once(asked: list[str], lock: Lock, tmp_path: Path) -> None:
    locked = lock()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: class_path(locked, silent, tmp_path), range(4)))
    assert len(set(map(tuple, answers))) == 1
    assert asked.count(f"/{PATH}") == 1


@pytest.mark.usefixtures("asked")
def test_a_download_with_another_sum_is_refused_and_not_kept(lock: Lock, tmp_path: Path) -> None:
    with pytest.raises(JarMismatch, match=rf"org.example:thing:1.0 as downloaded .*{GOOD}.*{BAD}"):
        class_path(lock(BAD), silent, tmp_path)
    assert not list(tmp_path.rglob("*.jar"))


@pytest.mark.usefixtures("asked")
def test_a_jar_that_changed_in_the_cache_is_refused(lock: Lock, tmp_path: Path) -> None:
    (jar,) = class_path(lock(), silent, tmp_path)
    jar.write_bytes(b"changed")
    with pytest.raises(JarMismatch, match=r"delete the directory .* to fetch it anew"):
        class_path(lock(), silent, tmp_path)


def test_the_local_maven_directory_is_used_when_its_content_is_right(
    asked: list[str], lock: Lock, tmp_path: Path
) -> None:
    local = tmp_path / "m2" / PATH
    local.parent.mkdir(parents=True)
    local.write_bytes(CONTENT)
    class_path(lock(), silent, tmp_path / "first")
    assert asked == []
    local.write_bytes(b"half a downl")
    class_path(lock(), silent, tmp_path / "second")
    assert asked.count(f"/{PATH}") == 1


@pytest.mark.usefixtures("asked")
def test_a_jar_that_is_nowhere_is_an_error_that_helps(lock: Lock, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"cannot fetch org.example:absent:1.0(.|\n)*HTTPS_PROXY"):
        class_path(lock(coordinate="org.example:absent:1.0"), silent, tmp_path)


def test_a_cache_that_cannot_be_written_is_an_error_that_helps(lock: Lock, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="set XDG_CACHE_HOME"):
        class_path(lock(), silent, tmp_path / "file")
