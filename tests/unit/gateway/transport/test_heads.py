"""The bytes before a body."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.transport.heads import Heads
from services.gateway.transport.origins import Origin
from services.gateway.transport.proxies import Proxies, Proxy
from services.gateway.upstream import Ask

HEADS = Heads(Proxies())
TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1)
VALUE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


def test_a_head() -> None:
    origin, head = HEADS.write(
        Ask("https://api.test/v1/chat?api-version=1", {"accept": "*/*", "x-a": "b"}), 17
    )
    assert origin == Origin(True, "api.test", 443)
    assert head == (
        b"POST /v1/chat?api-version=1 HTTP/1.1\r\nhost: api.test\r\naccept: */*\r\nx-a: b\r\n"
        b"content-length: 17\r\n\r\n"
    )


@given(st.dictionaries(TOKEN.map(lambda name: f"x-{name}"), VALUE), st.integers(0, 10**9))
def test_any_header_arrives_as_it_is_given(headers: dict[str, str], length: int) -> None:
    _, head = HEADS.write(Ask("http://a.test/100%25?%2f", headers), length)
    lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert lines[0] == "POST /100%25?%2f HTTP/1.1"
    assert lines[2:-1] == [f"{name}: {value}" for name, value in headers.items()]
    assert lines[-1] == f"content-length: {length}"


@given(VALUE, st.sampled_from(["\r\n", "\n", "\r", "\0", "\r\nx: y\r\n\r\nPOST / HTTP/1.1"]), VALUE)
def test_no_value_ends_its_line(before: str, injected: str, after: str) -> None:
    with pytest.raises(ValueError, match="line break or a zero byte"):
        HEADS.write(Ask("http://a.test/", {"authorization": before + injected + after}), 1)


@pytest.mark.parametrize(
    "name", ["", "x y", "x:", "x\r\ny", "ü", "Content-Length", "host", "transfer-encoding", "Connection"]
)
def test_a_name_that_a_request_may_not_set(name: str) -> None:
    with pytest.raises(ValueError, match="not a header"):
        HEADS.write(Ask("http://a.test/", {name: "1"}), 1)


def test_a_plain_request_through_a_proxy_names_the_whole_url() -> None:
    heads = Heads(Proxies(http=Proxy("proxy.test", 3128, "Basic eA==")))
    origin, head = heads.write(Ask("http://a.test/v1", {}), 0)
    assert origin == Origin(False, "a.test", 80)
    assert head == (
        b"POST http://a.test/v1 HTTP/1.1\r\nhost: a.test\r\nproxy-authorization: Basic eA==\r\n"
        b"content-length: 0\r\n\r\n"
    )
    _, tunnelled = heads.write(Ask("https://a.test/v1", {}), 0)
    assert tunnelled.startswith(b"POST /v1 HTTP/1.1\r\nhost: a.test\r\ncontent-length")
