"""One answer, however its bytes are cut."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.status import OutcomeStatus as S
from services.gateway.transport.limits import Limits
from services.gateway.transport.response import Response
from services.gateway.upstream import UpstreamFailed

ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nX-A: b\r\ncontent-length: 11\r\n\r\nhello world",
    "chunked": b"HTTP/1.1 201 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: u\r\n\r\n",
    "until close": b"HTTP/1.1 200 OK\r\nx-a: b\r\n\r\nhello world",
    "informational": b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nlink: x\r\n\r\n"
    b"HTTP/1.1 204 No\r\nx: y\r\n\r\n",
    "more": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    b"HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad",
    "closing": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
    "bad chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "cut off": b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
    "garbage": b"HTTP/1.1 OK 200\r\n\r\n",
}


@dataclass
class Source:
    """A connection that is only told."""

    resumed: int = 0
    abandoned: int = 0

    def resume(self) -> None:
        self.resumed += 1

    def abandon(self) -> None:
        self.abandoned += 1


@dataclass(frozen=True)
class Read:
    """All there is to know of an answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    failed: S | None
    reusable: bool


def response_of(pieces: list[bytes], limits: Limits | None = None) -> Response:
    loop = asyncio.new_event_loop()
    loop.close()
    response = Response(loop, Source(), limits or Limits())
    for piece in pieces:
        if not response.over:
            response.feed(piece)
    response.end(None)
    return response


def run(response: Response) -> Read:
    """Read it all; it never has to wait."""
    body, failed = b"", None
    try:
        now(response.arrive())
        while chunk := now(response.next_chunk()):
            body += chunk
    except UpstreamFailed as failure:
        failed = failure.status
    return Read(response.status, tuple(response.headers), body, failed, response.reusable)


def now(coroutine: object) -> bytes:
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds) if start < end]


@pytest.mark.parametrize("name", ANSWERS)
@given(places=st.lists(st.integers(0, 200), max_size=30))
def test_it_makes_no_difference_how_the_bytes_are_cut(name: str, places: list[int]) -> None:
    whole, in_pieces = (run(response_of(cut(ANSWERS[name], cuts))) for cuts in ([], places))
    if name == "more":
        # A cut exactly at the end hides the rest, which then meets a connection without a request.
        assert (in_pieces.status, in_pieces.body, in_pieces.failed) == (200, b"hello", None)
    else:
        assert in_pieces == whole


def test_what_each_of_them_is() -> None:
    seen = {name: run(response_of([data])) for name, data in ANSWERS.items()}
    assert {name: (read.status, read.body, read.failed, read.reusable) for name, read in seen.items()} == {
        "length": (200, b"hello world", None, True),
        "chunked": (201, b"hello world", None, True),
        "until close": (200, b"hello world", None, False),
        "informational": (204, b"", None, True),
        "more": (200, b"hello", None, False),
        "closing": (200, b"hello", None, False),
        "bad chunk": (200, b"hello", S.CONNECTION_FAILED, False),
        "cut off": (200, b"hello", S.CONNECTION_FAILED, True),
        "garbage": (0, b"", S.PROVIDER_ERROR, False),
    }
    assert seen["length"].headers == ((b"X-A", b"b"), (b"content-length", b"11"))
    assert seen["informational"].headers == ((b"x", b"y"),)


@pytest.mark.parametrize("piece", [1, 10, 1000, 10**9])
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 3000 + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 3000 + b"\r\ncontent-length: 0\r\n" + b"x: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 103 Hint\r\nx: y\r\n\r\n" * 100,
    ],
)
def test_a_head_that_is_too_much(data: bytes, piece: int) -> None:
    pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
    read = run(response_of(pieces, Limits(head_bytes=1000, head_fields=200)))
    assert (read.status, read.failed) == (0, S.PROVIDER_ERROR)


def test_chunks_are_handed_on_as_they_are() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    response = Response(loop, source := Source(), Limits(unread_bytes=8))
    response.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhello")
    assert now(response.next_chunk()) == b"hello"
    response.feed(b"hello")
    response.feed(b"hello")
    assert response.unread == 10
    assert now(response.next_chunk()) == b"hellohello"
    assert (response.unread, source.resumed) == (0, 1)
    response.close()
    response.close()
    assert source.abandoned == 1


class Passing:
    """Takes what is passed on, and says no to every ``refuses``-th piece."""

    def __init__(self, response: Response, refuses: int = 0) -> None:
        self.taken: list[bytes] = []
        self._response = response
        self._refuses = refuses
        self._passing = response.pass_on(self.take)
        self.ended: bool | None = None
        """What came of it: None while it waits, then whether that was the end."""
        self.failed: S | None = None
        self.go_on()

    def take(self, piece: bytes) -> bool:
        self.taken.append(piece)
        return not self._refuses or len(self.taken) % self._refuses != 0

    def go_on(self) -> None:
        try:
            waits_for = self._passing.send(None)
        except StopIteration as stop:
            self.ended = not stop.value
        except UpstreamFailed as failure:
            self.ended, self.failed = True, failure.status
        else:
            waits_for.add_done_callback(lambda _: self.go_on())

    def again(self) -> None:
        """Ask for more after a no."""
        self.ended, self._passing = None, self._response.pass_on(self.take)
        self.go_on()


@pytest.mark.parametrize("name", ["length", "chunked", "until close", "bad chunk", "cut off"])
@given(places=st.lists(st.integers(0, 200), max_size=30), refuses=st.integers(0, 3))
def test_what_is_passed_on_is_what_would_be_read(name: str, places: list[int], refuses: int) -> None:
    read = run(response_of([ANSWERS[name]]))
    loop = asyncio.new_event_loop()
    loop.close()
    response = Response(loop, Source(), Limits())
    passing = Passing(response, refuses)
    for piece in cut(ANSWERS[name], places):
        if not response.over:
            response.feed(piece)
        while passing.ended is False:
            passing.again()
    response.end(None)
    while not passing.ended:
        passing.again()
    assert (b"".join(passing.taken), passing.failed) == (read.body, read.failed)


def test_pieces_are_passed_on_by_the_read_that_brings_them_until_one_is_refused() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    response = Response(loop, source := Source(), Limits(unread_bytes=8))
    response.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\nhello")
    passing = Passing(response, refuses=2)
    assert (passing.taken, passing.ended) == ([b"hello"], None)
    response.feed(b"HELLO")
    assert (passing.taken[1:], passing.ended) == ([b"HELLO"], False)
    response.feed(b"hello")
    response.feed(b"HELLO")
    assert (len(passing.taken), response.unread) == (2, 10), "what it did not ask for waits"
    passing.again()
    assert (passing.taken[2:], passing.ended, source.resumed) == ([b"helloHELLO"], None, 1)
    assert response.unread == 0


def test_giving_up_while_it_waits_ends_the_connection() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    response = Response(loop, source := Source(), Limits())
    response.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\nhello")
    passing = response.pass_on(lambda _: True)
    passing.send(None)
    with pytest.raises(asyncio.CancelledError):
        passing.throw(asyncio.CancelledError())
    assert source.abandoned == 1
