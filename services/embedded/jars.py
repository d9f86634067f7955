"""Kafka's jars: fetched once from Maven coordinates, and only those whose SHA-256 is in the lock.

``kafka.lock.toml`` names every jar and its sum, so nothing is resolved at run time: each jar is fetched by
its exact coordinate, or taken from the local Maven repository, and accepted only when its content is the
locked one. A directory of jars appears in the cache under the lock's own digest, complete, or not at all.
"""

import hashlib
import os
import shutil
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from services.embedded.errors import DownloadFailed, EmbeddedError, JarMismatch
from services.embedded.file_lock import locked
from services.embedded.progress import Say

LOCK = Path(__file__).with_name("kafka.lock.toml")
PARALLEL_DOWNLOADS = 8


@dataclass(frozen=True)
class Jar:
    """One locked jar: its Maven coordinate and the SHA-256 of its content."""

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, coordinate: str, sha256: str) -> "Jar":
        group, artifact, version = coordinate.split(":")
        return cls(group, artifact, version, sha256)

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def repository_path(self) -> Path:
        """Where a Maven repository keeps it."""
        return Path(*self.group.split("."), self.artifact, self.version, self.file_name)

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


@dataclass(frozen=True)
class JarLock:
    """The content of a lock file: what was asked for, and every jar that belongs to it."""

    roots: tuple[str, ...]
    jars: tuple[Jar, ...]
    digest: str

    @classmethod
    def read(cls, path: Path = LOCK) -> "JarLock":
        content = path.read_bytes()
        data = tomllib.loads(content.decode())
        jars = tuple(Jar.parse(coordinate, sha256) for coordinate, sha256 in data["jars"].items())
        return cls(tuple(data["roots"]), jars, hashlib.sha256(content).hexdigest()[:12])

    @property
    def kafka_version(self) -> str:
        return self.roots[0].rsplit(":", 1)[1]


def cache_directory() -> Path:
    """Where downloads are kept between runs: ``$XDG_CACHE_HOME/headgate`` or ``~/.cache/headgate``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headgate"


def class_path(lock: JarLock, say: Say, cache: Path | None = None) -> list[Path]:
    """The verified jars, fetched if this is the first time. Safe to call in several processes at once."""
    cache = cache or cache_directory()
    directory = cache / f"kafka-{lock.kafka_version}-{lock.digest}"
    if not directory.is_dir():
        try:
            fetch_once(lock, directory, say)
        except OSError as error:
            raise EmbeddedError(
                f"cannot keep Kafka's jars in {cache} ({error}); "
                "set XDG_CACHE_HOME to a directory you may write"
            ) from error
    verify(lock, directory)
    return [directory / jar.file_name for jar in lock.jars]


def verify(lock: JarLock, directory: Path) -> None:
    """Compare every jar with the lock; it takes a few hundredths of a second, so it is done at each start."""
    for jar in lock.jars:
        path = directory / jar.file_name
        if not path.is_file() or sha256_of(path) != jar.sha256:
            raise JarMismatch(
                f"{path} is not the locked {jar} (sha256 {jar.sha256}); "
                f"delete the directory {directory} and start again to fetch it anew"
            )


def fetch_once(lock: JarLock, directory: Path, say: Say) -> None:
    """Fetch, unless another process has done so in the meantime."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with locked(directory.parent / "download.lock"):
        if not directory.is_dir():
            fetch(lock, directory, say)


def fetch(lock: JarLock, directory: Path, say: Say) -> None:
    """Fill ``directory`` with every locked jar, all or nothing."""
    say(
        f"Kafka {lock.kafka_version}: fetching {len(lock.jars)} jars (about 43 MB, once) from Maven Central …"
    )
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="fetching-") as staging:
        source = JarSource(Path(staging) / "downloads")
        complete = Path(staging) / "complete"
        complete.mkdir()
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            arrivals = [pool.submit(source.bring, jar, complete / jar.file_name) for jar in lock.jars]
            try:
                for count, arrival in enumerate(as_completed(arrivals), start=1):
                    arrival.result()
                    if count % 10 == 0 or count == len(arrivals):
                        say(f"Kafka {lock.kafka_version}: {count} of {len(arrivals)} jars verified")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        complete.rename(directory)


class JarSource:
    """Where jars come from: the local Maven repository when it has the very content, else jgo's download.

    Repositories in jgo's configuration file are asked before Maven Central, for networks with a mirror.
    """

    def __init__(self, downloads: Path) -> None:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - slow to import, needed once per machine
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415

        settings = GlobalSettings.load()
        repositories = dict(settings.repositories)
        repositories.setdefault("central", MAVEN_CENTRAL_URL)
        self._local = Path(settings.repo_cache)
        self._maven = MavenContext(
            repo_cache=downloads,
            remote_repos=repositories,
            timeout=30,
        )

    def bring(self, jar: Jar, target: Path) -> None:
        """Put the locked content of ``jar`` at ``target``, or raise."""
        local = self._local / jar.repository_path
        if local.is_file():
            shutil.copyfile(local, target)
            if sha256_of(target) == jar.sha256:
                return
        shutil.move(self._download(jar), target)
        received = sha256_of(target)
        if received != jar.sha256:
            raise JarMismatch(
                f"{jar} as downloaded has sha256 {received}, but the lock says {jar.sha256}; "
                "nothing was kept. A proxy or mirror that changes files is the usual reason"
            )

    def _download(self, jar: Jar) -> Path:
        artifact = self._maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        try:
            return Path(artifact.resolve())
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors, jgo's are RuntimeErrors
            raise DownloadFailed(
                f"cannot fetch {jar}: {error}. Check the network (HTTPS_PROXY is honoured), or name a mirror "
                "under [repositories] in ~/.config/jgo.conf"
            ) from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
