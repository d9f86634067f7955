"""The bytes before a request's body: put together once for each ``Ask``, but for the request's own lines."""

from __future__ import annotations

import re
from functools import lru_cache

from services.gateway.transport.origins import Origin, split_url
from services.gateway.transport.proxies import Proxies
from services.gateway.upstream import Ask

REMEMBERED = 1024

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ENDS_LINE = re.compile(r"[\r\n\0]").search
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how the message is framed: whoever frames it says them."""


class Heads:
    """Writes heads. Through a proxy, a plain request names its whole URL and the proxy's credentials."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._prepared = lru_cache(maxsize=REMEMBERED)(self._prepare)

    def write(self, ask: Ask, length: int, lines: bytes = b"") -> tuple[Origin, bytes]:
        """Return where the request goes, and its head. ``lines`` are its own. Raises ValueError."""
        origin, head = self._prepared(ask)
        return origin, b"%b%bcontent-length: %d\r\n\r\n" % (head, lines, length)

    def _prepare(self, ask: Ask) -> tuple[Origin, bytes]:
        origin, target = split_url(ask.url)
        lines = ["host: " + origin.host_header]
        proxy = None if origin.tls else self._proxies.for_origin(origin)
        if proxy is not None:
            target = f"http://{origin.host_header}{target}"
            lines += [f"proxy-authorization: {proxy.authorization}"] if proxy.authorization else []
        lines += [f"{_checked(name)}: {_on_one_line(value)}" for name, value in ask.headers.items()]
        return origin, "".join(f"{line}\r\n" for line in [f"{ask.method} {target} HTTP/1.1", *lines]).encode()


def _on_one_line(value: str) -> str:
    if _ENDS_LINE(value):
        raise ValueError("a header's value holds a line break or a zero byte; look at the secret")
    return value


def _checked(name: str) -> str:
    if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
        raise ValueError(f"{name!r} is not a header that a request may set")
    return name
