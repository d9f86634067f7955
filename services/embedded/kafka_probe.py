"""Whether a Kafka broker is ready: one Metadata request over a plain socket.

Cheaper than a client library to ask every few milliseconds, and quiet while nobody listens yet.
"""

import socket
import struct

from services.embedded.ports import LOOPBACK

METADATA_KEY, METADATA_VERSION = 3, 1
TIMEOUT_SECONDS = 1.0


def answers(port: int, host: str = LOOPBACK) -> bool:
    """True when the broker at this address is part of its cluster, so that topics can be created and used."""
    header = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 1, -1)  # correlation id 1, no client id
    no_topics = struct.pack(">i", 0)
    try:
        with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(header + no_topics)) + header + no_topics)
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            _correlation_id, brokers = struct.unpack_from(">ii", _exactly(connection, size))
    except (OSError, struct.error):
        return False
    return bool(brokers)


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionResetError("the broker closed the connection")
        received += part
    return received
