"""The ids of a request: ours, which everything knows it by, and the one that its caller gave it.

Ours must be unique, since units are randomised by it and outcomes named by it, so it is never the caller's.
The caller's comes back to it, and stands beside ours in logs and traces. Providers are told ours, in the
header that OpenAI has for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_printable = re.compile(rb"[\x20-\x7e]{1,128}").fullmatch


def given_id(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the id that a caller gave its request, in OpenAI's header or else the customary one.

    What is not printable ASCII, or is over 128 characters, is none.
    """
    given = headers.get(b"x-client-request-id") or headers.get(b"x-request-id")
    return given if given and _printable(given) else None


def answer_lines(request_id: str, given: bytes | None) -> bytes:
    """Return the lines of an answer's head that tell the ids."""
    ours = request_id.encode()
    lines = b"x-request-id: %b\r\nx-headgate-request-id: %b\r\n" % (ours, ours)
    return lines if given is None else b"%bx-client-request-id: %b\r\n" % (lines, given)


def upstream_line(request_id: str) -> bytes:
    """Return the line by which a provider is told the id."""
    return b"x-client-request-id: %b\r\n" % request_id.encode()
