"""Proxies as the environment names them."""

from __future__ import annotations

import pytest

from services.gateway.transport.origins import Origin
from services.gateway.transport.proxies import Proxies, Proxy

PLAIN = Origin(False, "a.test", 80)
TLS = Origin(True, "a.test", 443)
NAMES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_none() -> None:
    assert Proxies.from_environment().for_origin(TLS) is None


@pytest.mark.parametrize("upper", [False, True])
def test_one_for_each_scheme(monkeypatch: pytest.MonkeyPatch, upper: bool) -> None:
    for name, url in (("http_proxy", "http://plain.test:81"), ("https_proxy", "tls.test:82")):
        monkeypatch.setenv(name.upper() if upper else name, url)
    proxies = Proxies.from_environment()
    monkeypatch.setenv("http_proxy", "http://later.test")
    assert proxies.for_origin(PLAIN) == Proxy("plain.test", 81)
    assert proxies.for_origin(TLS) == Proxy("tls.test", 82)


def test_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all.test")
    monkeypatch.setenv("HTTPS_PROXY", "http://tls.test")
    proxies = Proxies.from_environment()
    assert proxies.for_origin(PLAIN) == Proxy("all.test", 8080)
    assert proxies.for_origin(TLS) == Proxy("tls.test", 8080)


@pytest.mark.parametrize(
    ("without", "host", "proxied"),
    [
        ("a.test", "a.test", False),
        (".a.test", "b.a.test", False),
        ("a.test", "b.a.test", False),
        ("a.test", "ba.test", True),
        ("*", "a.test", False),
        ("b.test, a.test:80", "a.test", False),
        ("a.test:81", "a.test", True),
        ("10.0.0.1", "10.0.0.1", False),
        ("", "localhost", False),
        ("", "127.0.0.1", False),
        ("", "::1", False),
        ("", "a.test", True),
    ],
)
def test_hosts_reached_without(
    monkeypatch: pytest.MonkeyPatch, without: str, host: str, proxied: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:81")
    monkeypatch.setenv("NO_PROXY", without)
    found = Proxies.from_environment().for_origin(Origin(False, host, 80))
    assert (found is not None) == proxied


def test_credentials_stay_out_of_every_text() -> None:
    proxy = Proxy.parse("http://user:p%40ss@proxy.test:81")
    assert proxy.authorization == "Basic dXNlcjpwQHNz"
    assert "dXNlcjpwQHNz" not in repr(proxy)


@pytest.mark.parametrize("url", ["socks5://user:secret@a.test", "https://user:secret@a.test", "http://"])
def test_a_proxy_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ValueError, match="cannot be used") as raised:
        Proxy.parse(url)
    assert "secret" not in str(raised.value)
