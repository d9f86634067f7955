"""The configuration of a small PostgreSQL for development and tests."""

from services.embedded.ports import LOOPBACK

INITDB_OPTIONS = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth=scram-sha-256",
    # The password is random, so stretching it would only slow connecting.
    "--set=scram_iterations=100",
    "--no-instructions",
)


def server_options(port: int, *, durable: bool) -> list[str]:
    """The server's command-line options.

    Without ``durable`` a power cut may lose everything; a crash of the server alone loses nothing committed.
    """
    settings: dict[str, str | int] = {
        "listen_addresses": LOOPBACK,
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "64MB",
        "io_method": "sync",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
