"""TensorZero's HTTP gateway, out of its PyPI wheel, until it is signalled.

    <TensorZero's own interpreter> tensorzero_server.py CONFIG

The wheel has no program of its own: the gateway is in its Rust extension, which serves the same HTTP on a
port it chooses. Python starts it, prints its address and then sleeps.
"""

import signal
import sys

from tensorzero import _start_http_gateway  # type: ignore[import-not-found]  # is in that interpreter only


def main() -> None:
    """Start the gateway and print its base URL."""
    gateway = _start_http_gateway(
        config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
    )
    print(f"base_url={gateway.base_url}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
