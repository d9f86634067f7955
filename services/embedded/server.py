"""What the embedded servers share: a place, a port that stays theirs, and a life of starts and stops."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from services.embedded.errors import EmbeddedError, ProcessDied
from services.embedded.places import Place
from services.embedded.ports import free_port
from services.embedded.processes import ManagedProcess
from services.embedded.progress import Say, say_to_stderr
from services.embedded.readiness import await_ready

PORT_ATTEMPTS = 5


class EmbeddedServer(ABC):
    """One server on the loopback interface that ends with this process.

    Args:
        data_dir: where to keep its data; a temporary directory, removed by ``stop``, when None
        scratch_in: where to make the temporary directory; where the system keeps such when None
        port: the port to listen on; a free one when None, the same one after each ``restart``
        say: receives lines of progress
    """

    name: ClassVar[str]
    port_taken: ClassVar[str]
    """What its log says when another process has the port."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        scratch_in: Path | None = None,
        port: int | None = None,
        say: Say = say_to_stderr,
    ) -> None:
        self._data_dir = data_dir
        self._scratch_in = scratch_in
        self._wanted_port = port
        self._say = say
        self._place: Place | None = None
        self._port = port
        self._process: ManagedProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    @abstractmethod
    def version(self) -> str:
        """The server's own version."""

    @abstractmethod
    def _prepare(self, place: Place) -> None:
        """Make the place ready for a server; called before every start."""

    @abstractmethod
    def _process_for(self, place: Place, port: int) -> ManagedProcess:
        """The server as a process that is not started yet."""

    @abstractmethod
    def _answers(self, port: int) -> bool:
        """Whether the server on this port can be used."""

    @property
    def port(self) -> int:
        if self._port is None:
            raise EmbeddedError(f"{self.name} has no address before start()")
        return self._port

    @property
    def process(self) -> ManagedProcess:
        """The server's process: its pid and its log."""
        if self._process is None:
            raise EmbeddedError(f"{self.name} was not started")
        return self._process

    def start(self) -> None:
        """Start it and return when it can be used."""
        if self._process is not None and self._process.running:
            return
        if self._place is not None:
            self._start_in(self._place)
            return
        self._place = Place(self.name.lower(), self._data_dir, scratch_in=self._scratch_in)
        try:
            self._start_in(self._place)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it in order; a temporary directory goes with it."""
        if self._process is not None:
            self._process.stop()
        if self._place is not None:
            self._place.clear()
        self._place = None
        self._port = self._wanted_port

    def kill(self) -> None:
        """End it as a crash would; ``restart`` brings it back with what it had written."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same data."""
        self.process.stop()
        self.start()

    def _start_in(self, place: Place) -> None:
        self._prepare(place)
        self._port = self._start_on_a_port(place)

    def _start_on_a_port(self, place: Place) -> int:
        attempts = 1 if self._port else PORT_ATTEMPTS
        while True:
            port = self._port or free_port()
            process = self._process = self._process_for(place, port)
            process.start()
            attempts -= 1
            try:
                await_ready(process, lambda port=port: self._answers(port))  # type: ignore[misc]
            except ProcessDied:
                if not attempts or self.port_taken not in process.log_of_this_run():
                    raise
            else:
                return port
