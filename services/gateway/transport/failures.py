"""What can go wrong on the way to an answer, and what each counts as."""

from __future__ import annotations

import socket
import ssl

from services.domain.status import OutcomeStatus
from services.gateway.upstream import UpstreamFailed


class RaceLost(UpstreamFailed):
    """The server was closing the reused connection while the request was on its way."""

    def __init__(self) -> None:
        super().__init__(
            OutcomeStatus.CONNECTION_FAILED, "it closed the connection that was to be used again"
        )


def late(reason: str) -> UpstreamFailed:
    """A deadline has passed."""
    return UpstreamFailed(OutcomeStatus.TIMEOUT, reason)


def not_http(reason: str = "what it answered is not HTTP") -> UpstreamFailed:
    """The head of the answer cannot be understood, or is too much."""
    return UpstreamFailed(OutcomeStatus.PROVIDER_ERROR, reason)


def broken(reason: str = "it hung up before the answer was whole") -> UpstreamFailed:
    """There was a connection, and what came over it is not a whole answer."""
    return UpstreamFailed(OutcomeStatus.CONNECTION_FAILED, reason)


def unreachable(reason: str) -> UpstreamFailed:
    """There was no connection."""
    return UpstreamFailed(OutcomeStatus.CONNECTION_FAILED, reason)


def of_connecting(error: OSError) -> UpstreamFailed:
    """Return what an error while connecting counts as."""
    match error:
        case socket.gaierror():
            return unreachable("its host name is not known")
        case ssl.SSLCertVerificationError():
            return unreachable(f"TLS failed: its certificate is not trusted ({error.verify_message})")
        case ssl.SSLError():
            return unreachable("TLS failed: it does not speak it as this gateway does")
        case ConnectionRefusedError():
            return unreachable("it could not be reached: the connection was refused")
        case _:
            return unreachable("it could not be reached")
