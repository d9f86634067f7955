"""The bytes before a request's body.

All but the values is the same for every request with the same URL and header names: it is put together once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from services.gateway.transport.origins import Origin, split_url
from services.gateway.transport.proxies import Proxies

REMEMBERED = 4096

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how the message is framed: whoever frames it says them."""


class Template(NamedTuple):
    """A head that lacks the values of its headers and the length of the body."""

    origin: Origin
    text: str
    lines: int


class Heads:
    """Writes heads. Through a proxy, a plain request names its whole URL and the proxy's credentials."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._template = lru_cache(maxsize=REMEMBERED)(self._build)

    def write(
        self, url: str, headers: Mapping[str, str], length: int, method: str = "POST"
    ) -> tuple[Origin, bytes]:
        """Return where the request goes, and its head. Raises ValueError."""
        template = self._template(method, url, *headers)
        text = template.text % (*headers.values(), length)
        # Only the line ends that belong there: a value can neither end its line nor the head.
        if text.count("\n") != template.lines or text.count("\r") != template.lines or "\0" in text:
            raise ValueError("a header's value holds a line break or a zero byte; look at the secret")
        return template.origin, text.encode()

    def _build(self, method: str, url: str, *names: str) -> Template:
        origin, target = split_url(url)
        lines = ["host: " + origin.host_header]
        proxy = None if origin.tls else self._proxies.for_origin(origin)
        if proxy is not None:
            target = f"http://{origin.host_header}{target}"
            lines += [f"proxy-authorization: {proxy.authorization}"] if proxy.authorization else []
        text = "".join(f"{_escaped(line)}\r\n" for line in [f"{method} {target} HTTP/1.1", *lines])
        text += "".join(f"{_escaped(_checked(name))}: %s\r\n" for name in names)
        text += "content-length: %d\r\n\r\n"
        return Template(origin, text, text.count("\n"))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _checked(name: str) -> str:
    if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
        raise ValueError(f"{name!r} is not a header that a request may set")
    return name
