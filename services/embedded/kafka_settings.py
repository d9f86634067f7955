"""The configuration of a one-node Kafka: broker and controller in one small process."""

from pathlib import Path

from services.embedded.ports import LOOPBACK

JVM_OPTIONS = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
)
"""A small heap and quick compilation: the process lives for minutes and starts in about a second."""


def one_node(listen: str, controller: str, advertised: str) -> dict[str, str | int]:
    """The settings of a node that is the whole cluster; the addresses are ``host:port``."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "listeners": f"PLAINTEXT://{listen},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{advertised}",
        # One node holds every replica.
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Few internal partitions: the first consumer does not wait for fifty of them to be created.
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # A topic nobody declared is a mistake to see, and a group of one need not wait for others.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        # After a crash the broker may register again once its old session is over.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 2_000,
        # Nobody follows its log: records that only show that it lives cost a fifth of what it idles.
        "metadata.max.idle.interval.ms": 0,
        # Small for a laptop, whose tests create many topics.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,
    }


def server_properties(port: int, controller_port: int, data: Path) -> str:
    """The content of ``server.properties`` for a node on the loopback interface."""
    address = f"{LOOPBACK}:{port}"
    settings = one_node(address, f"{LOOPBACK}:{controller_port}", address) | {"log.dirs": str(data)}
    return "".join(f"{name}={value}\n" for name, value in settings.items())
