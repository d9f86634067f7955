"""Where a URL leads: what connections are pooled by."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

_PORTS = {"http": 80, "https": 443}
_KEPT_IN_PATHS = "/:@!$&'()*+,;=~%-._?"


class Origin(NamedTuple):
    """One server as a client sees it."""

    tls: bool
    host: str
    """A name in ASCII, or an address; IPv6 without brackets."""
    port: int

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{self._bracketed}:{self.port}"

    @property
    def host_header(self) -> str:
        """Host, and the port where it is not the scheme's own."""
        return self._bracketed if self.port == (443 if self.tls else 80) else self.authority

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def split_url(url: str) -> tuple[Origin, str]:
    """Return the origin and the path with its query. Raises ValueError where it is no URL to send to."""
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("a URL has no blanks and no control characters")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("a provider's URL starts with http:// or https:// and a host")
    if parts.username is not None:
        raise ValueError("a URL holds no credentials; name the secret instead")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    origin = Origin(parts.scheme == "https", host, parts.port or _PORTS[parts.scheme])
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return origin, quote(target, safe=_KEPT_IN_PATHS)
