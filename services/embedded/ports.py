"""Free TCP ports that stay free.

Ports come from below the range the kernel hands to outgoing connections. A server on a port of that range
can lose it while it restarts: to any client's source port, even to one that connects to that very port.
"""

import random
import socket

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 32_000
ATTEMPTS = 200


def free_port() -> int:
    """A port nobody listens on at this moment; another process may still take it first."""
    choose = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = choose.randrange(LOWEST, HIGHEST)
        if is_free(port):
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST} on {LOOPBACK} after {ATTEMPTS} attempts")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
