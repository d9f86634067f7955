"""How many tokens a request may take, before anybody has counted them.

    prompt     = ⌈(bytes of the body - bytes of embedded files) / 4⌉ + 1,000 for each embedded file
    completion = the cap of the request (or of its variant) × the answers asked for
                 or, without a cap, the default that is set × the answers asked for

Four bytes to a token is what English prose has; the JSON around it makes the estimate a little high. An
embedded file is a run of at least 4,000 characters of base64 behind ``;base64,``, whose length says nothing
about tokens. A shorter one is counted by its bytes.
"""

from __future__ import annotations

import re

BYTES_PER_TOKEN = 4
TOKENS_PER_FILE = 1_000
LARGEST_ESTIMATE = 1 << 40
"""A cap above that is nobody's meaning, and would not fit what is summed."""

_MARK = b";base64,"
_SHORTEST_FILE = 4000
_file = re.compile(rb";base64,[A-Za-z0-9+/=_\\-]{%d,}" % _SHORTEST_FILE)
_STRIDE, _GLANCE = 2048, 64
_all_base64 = re.compile(rb"[A-Za-z0-9+/=_\\-]{%d}" % _GLANCE).match


def prompt_tokens(document: bytes) -> int:
    """Return the estimate for a body."""
    size, files = len(document), 0
    if size > _SHORTEST_FILE and _may_embed(document):
        for found in _file.finditer(document):
            files += 1
            size -= found.end() - found.start() - len(_MARK)
    return -(-size // BYTES_PER_TOKEN) + files * TOKENS_PER_FILE


def _may_embed(document: bytes) -> bool:
    """Say whether there may be a file: it would show at one of a few places. A search takes far longer."""
    for at in range(0, len(document) - _GLANCE, _STRIDE):
        # Most places have a space, and that is told faster.
        if document.find(b" ", at, at + _GLANCE) < 0 and _all_base64(document, at):
            return True
    return False


def completion_tokens(cap: int, answers: int) -> int:
    """Return the estimate for so many answers of at most ``cap`` tokens each."""
    return min(max(cap, 0) * max(answers, 1), LARGEST_ESTIMATE)


class Streamed:
    """Estimates what a stream carried, from whole server-sent events as they pass.

    Providers send a token or a few with each event, in a frame of JSON that is much the same each time: the
    estimate is the number of events, or what is in them beyond the frame of the first one, at four bytes to a
    token, whichever is more.
    """

    __slots__ = ("_bytes", "_events", "_frame")

    def __init__(self) -> None:
        self._events = 0
        self._bytes = 0
        self._frame = 0

    def take(self, events: bytes) -> None:
        """Some events passed."""
        count = events.count(b"data:")
        self._events += count
        self._bytes += len(events)
        if not self._frame and count:
            self._frame = len(events) // count

    @property
    def tokens(self) -> int:
        """The estimate so far."""
        beyond = self._bytes - self._events * self._frame
        return max(self._events, beyond // BYTES_PER_TOKEN)
