"""Proxies as the environment names them: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case.

Read once, at the start. This machine's own addresses are never reached through a proxy.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]

from services.gateway.transport.origins import Origin

_DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True)
class Proxy:
    """One HTTP proxy. ``authorization`` is the value of the header it wants, and stays out of every text."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``http://user:password@host:port``. Raises ValueError that names no credentials."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(
                f"a proxy with the scheme {parts.scheme!r} cannot be used; set HTTP_PROXY and HTTPS_PROXY to "
                "http://host:port, or name the providers in NO_PROXY"
            )
        return cls(parts.hostname, parts.port or _DEFAULT_PORT, _basic(parts.username, parts.password))


class Proxies:
    """Says which proxy leads to an origin. ``bypasses`` says of ``host:port`` that none does."""

    def __init__(
        self,
        http: Proxy | None = None,
        https: Proxy | None = None,
        bypasses: Callable[[str], bool] | None = None,
    ) -> None:
        self._by_tls = {False: http, True: https}
        self._bypasses = bypasses or (lambda _: False)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment. Raises ValueError where it names a proxy of a kind that is not supported."""
        found: Mapping[str, str] = getproxies()
        http, https = (_parsed(found.get(scheme) or found.get("all")) for scheme in ("http", "https"))
        without = {"no": found.get("no", "")}
        return cls(http, https, lambda authority: bool(proxy_bypass_environment(authority, without)))

    def for_origin(self, origin: Origin) -> Proxy | None:
        """Return the proxy on the way, if there is one."""
        proxy = self._by_tls[origin.tls]
        if proxy is None or _is_here(origin.host) or self._bypasses(origin.authority):
            return None
        return proxy


def _parsed(url: str | None) -> Proxy | None:
    return Proxy.parse(url) if url else None


def _basic(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return "Basic " + b64encode(pair).decode()


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
