"""URLs and where they lead."""

from __future__ import annotations

import pytest

from services.gateway.transport.origins import Origin, split_url


@pytest.mark.parametrize(
    ("url", "origin", "host_header", "target"),
    [
        ("http://a.test", Origin(False, "a.test", 80), "a.test", "/"),
        ("https://A.Test:443/v1?x=1#part", Origin(True, "a.test", 443), "a.test", "/v1?x=1"),
        ("http://a.test:8080/%7Ea/ü", Origin(False, "a.test", 8080), "a.test:8080", "/%7Ea/%C3%BC"),
        ("http://[::1]:81/", Origin(False, "::1", 81), "[::1]:81", "/"),
        ("https://zürich.test/", Origin(True, "xn--zrich-kva.test", 443), "xn--zrich-kva.test", "/"),
        ("https://a.test?x", Origin(True, "a.test", 443), "a.test", "/?x"),
    ],
)
def test_a_url(url: str, origin: Origin, host_header: str, target: str) -> None:
    assert split_url(url) == (origin, target)
    assert origin.host_header == host_header


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.test/x",
        "ftp://a.test",
        "http://",
        "http://a.test:no/",
        "http://a.test:70000/",
        "http://[::1/",
        "http://a.test/ x",
        "http://a.test/\r\nx",
        "http://a\0.test/",
        "http://u:p@a.test/",
    ],
)
def test_what_is_no_url_to_send_to(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        split_url(url)
