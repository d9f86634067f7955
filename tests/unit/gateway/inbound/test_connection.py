"""A caller's connection against callers of every kind, at the level of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.inbound.turn import Turn
from tests.unit.gateway.inbound.callers import LIMITS, Caller, cut, echo

GET = b"GET /a%20b?q=1 HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\ntrailer: t\r\nauthorization: Bearer smuggled\r\n\r\n"
)
PUT_CLOSE = b"PUT /z HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"

SENT = {
    "get": (GET, [(200, b"GET /a b ")]),
    "post": (POST, [(200, b"POST /p hello")]),
    "chunked with trailers": (CHUNKED, [(200, b"POST /c hello")]),
    "pipelined": (
        POST + GET + CHUNKED + PUT_CLOSE,
        [(200, b"POST /p hello"), (200, b"GET /a b "), (200, b"POST /c hello"), (200, b"PUT /z ok")],
    ),
    "nothing after the last": (PUT_CLOSE + GET, [(200, b"PUT /z ok")]),
    "empty lines in front": (b"\r\n\r\n" + GET, [(200, b"GET /a b ")]),
    "a whole URL": (b"GET http://x/w?q HTTP/1.1\r\nhost: x\r\n\r\n", [(200, b"GET /w ")]),
    "a good one before a bad one": (POST + b"\x16\x03\x01", [(200, b"POST /p hello"), (400, b"")]),
}


@pytest.mark.parametrize("name", SENT)
@given(places=st.lists(st.integers(0, 1000)))
def test_it_makes_no_difference_how_the_bytes_are_cut(name: str, places: list[int]) -> None:
    sent, expected = SENT[name]
    caller = Caller().sends(*cut(sent, places))
    answers = [(status, b"" if status == 400 else body) for status, body in caller.reads()]
    caller.hangs_up()
    assert answers == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 300)))
def test_whatever_is_sent_is_answered_or_waited_for(garbage: bytes, places: list[int]) -> None:
    caller = Caller().sends(*cut(POST + garbage, places))
    answers = caller.reads()
    caller.hangs_up()
    assert answers[0] == (200, b"POST /p hello")
    assert caller.lost_connections == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: a\r\n b\x00\r\n\r\n",
        b"GET /\r\nx HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(sent: bytes) -> None:
    caller = Caller().sends(sent, GET)
    assert [status for status, _ in caller.reads()] == [400]
    assert b"connection: close\r\n" in caller.wire.written
    assert caller.wire.closed
    caller.hangs_up()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 5000,
        b"GET / HTTP/1.1\r\nx: " + b"x" * 5000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(30)),
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(21)) + b"\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 5000,
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
        + b"".join(b"x-%d: 1\r\n" % n for n in range(30)),
    ],
)
def test_more_head_than_one_may_send(sent: bytes) -> None:
    caller = Caller().sends(*cut(sent, range(0, len(sent), 500)))
    assert [status for status, _ in caller.reads()] == [431]
    assert caller.wire.closed
    caller.hangs_up()


def too_large(turn: Turn) -> None:
    turn.answer(413, b"", b"too large")


async def refusing(turn: Turn) -> None:
    """As the gateway does it."""
    try:
        await echo(turn)
    except Exception:  # noqa: BLE001 - that it is PayloadTooLarge, the answer shows
        too_large(turn)


@pytest.mark.parametrize(
    ("head", "framed"),
    [
        (b"content-length: 5000", lambda piece: piece),
        (b"transfer-encoding: chunked", lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece)),
    ],
)
def test_a_body_over_the_limit_is_refused_and_read_over(
    head: bytes, framed: Callable[[bytes], bytes]
) -> None:
    caller = Caller(refusing)
    caller.sends(b"POST / HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n")
    for _ in range(10):
        caller.sends(framed(b"x" * 500))
    assert caller.reads() == [(413, b"too large")]
    # The connection goes on: the next request begins where that body ends.
    caller.sends(b"" if head.startswith(b"content") else b"0\r\n\r\n", GET)
    assert caller.reads()[1:] == [(200, b"GET /a b ")]
    caller.hangs_up()


def test_a_body_at_the_limit_is_taken_in_however_many_pieces() -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    caller = Caller().sends(head, *[b"1\r\nx\r\n"] * LIMITS.body_bytes, b"0\r\n\r\n")
    assert caller.reads() == [(200, b"POST / " + b"x" * LIMITS.body_bytes)]
    caller.hangs_up()


def test_an_answer_is_one_write() -> None:
    caller = Caller().sends(POST)
    assert caller.wire.writes == 1
    caller.hangs_up()


def test_head_gets_a_head() -> None:
    caller = Caller().sends(b"HEAD /h HTTP/1.1\r\nhost: x\r\n\r\n")
    assert caller.wire.written.endswith(b"content-length: 8\r\n\r\n")
    assert not caller.wire.closed
    caller.hangs_up()


@pytest.mark.parametrize("expectation", [b"100-continue", b"100-Continue"])
def test_who_waits_to_be_asked_for_the_body_is_asked(expectation: bytes) -> None:
    head = b"POST /p HTTP/1.1\r\nhost: x\r\nexpect: " + expectation + b"\r\ncontent-length: 5\r\n\r\n"
    caller = Caller().sends(head)
    assert caller.wire.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.sends(b"hello")
    assert caller.reads() == [(200, b"POST /p hello")]
    caller.hangs_up()
    at_once = Caller().sends(head + b"hello")
    assert b"100" not in at_once.wire.written[:12]
    at_once.hangs_up()


def test_nobody_is_asked_for_a_body_that_is_too_large() -> None:
    caller = Caller(refusing).sends(
        b"POST /p HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5000\r\n\r\n"
    )
    assert caller.reads() == [(413, b"too large")]
    assert b"100 Continue" not in caller.wire.written
    caller.hangs_up()


@pytest.mark.parametrize("extra", [b"", b"connection: keep-alive\r\n"])
def test_http_1_0_gets_one_answer(extra: bytes) -> None:
    caller = Caller().sends(b"GET / HTTP/1.0\r\n" + extra + b"\r\n", GET)
    assert caller.reads() == [(200, b"GET / ")]
    assert caller.wire.closed
    caller.hangs_up()


async def stream(turn: Turn) -> None:
    """Two pieces, then a third with the end."""
    turn.begin(200, b"content-type: text/event-stream\r\n")
    for piece in (b"one ", b"two "):
        if not turn.send(piece):
            await turn.drained()
    turn.finish(b"three")


def test_a_stream_is_chunked_and_its_head_goes_with_its_first_piece() -> None:
    caller = Caller(stream).sends(GET)
    assert caller.reads() == [(200, b"one two three")]
    assert caller.wire.writes == 3
    assert not caller.wire.closed
    caller.hangs_up()


def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    caller = Caller(stream).sends(b"GET / HTTP/1.0\r\n\r\n")
    assert caller.wire.written.endswith(b"connection: close\r\n\r\none two three")
    assert caller.wire.closed
    caller.hangs_up()


def test_a_stream_waits_for_a_caller_that_does_not_read() -> None:
    caller = Caller(stream)
    caller.connection.pause_writing()
    caller.sends(GET)
    assert caller.wire.writes == 1
    caller.connection.resume_writing()
    caller.sends()
    assert caller.wire.writes == 3
    assert caller.reads() == [(200, b"one two three")]
    caller.hangs_up()


def test_requests_that_wait_stop_the_reading() -> None:
    gates: list[asyncio.Future[None]] = []

    async def gated(turn: Turn) -> None:
        gates.append(caller.loop.create_future())
        await gates[-1]
        await echo(turn)

    caller = Caller(gated)
    caller.sends(POST)
    assert not caller.wire.paused
    caller.sends(GET)
    assert caller.wire.paused
    gates[0].set_result(None)
    caller.sends()
    assert not caller.wire.paused
    gates[1].set_result(None)
    caller.sends()
    assert caller.reads() == [(200, b"POST /p hello"), (200, b"GET /a b ")]
    caller.hangs_up()


def test_thousands_of_pipelined_requests_do_not_pile_up_calls() -> None:
    caller = Caller()
    caller.connection.data_received(GET * 3000)
    while caller.wire.written.count(b"HTTP/1.1 200") < 3000:
        caller.sends()
    assert caller.reads() == [(200, b"GET /a b ")] * 3000
    caller.hangs_up()


@pytest.mark.parametrize("sent", [POST, POST[:-1], GET + POST[:-2]])
def test_hanging_up_ends_the_work(sent: bytes) -> None:
    ended: list[str] = []

    async def endless(turn: Turn) -> None:
        try:
            await echo(turn) if turn.method == b"GET" else await turn.receive()
            if turn.method == b"POST":
                await caller.loop.create_future()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    caller = Caller(endless)
    caller.sends(sent)
    assert ended == []
    caller.wire.closed = True
    caller.connection.connection_lost(ConnectionResetError())
    caller.sends()
    assert ended == ["cancelled"]
    assert caller.lost_connections == 1
    caller.loop.close()


def test_a_bug_is_answered_with_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(turn: Turn) -> None:  # noqa: ARG001
        raise RuntimeError("a bug")

    caller = Caller(broken).sends(GET)
    assert [status for status, _ in caller.reads()] == [500]
    assert caller.wire.closed
    assert "a bug" in caplog.text
    caller.hangs_up()


def test_a_bug_in_the_middle_of_an_answer_cuts_it_off(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(turn: Turn) -> None:
        turn.begin(200, b"")
        turn.send(b"some")
        raise RuntimeError("a bug")

    caller = Caller(broken).sends(GET)
    assert caller.wire.aborted
    assert "a bug" in caplog.text
    caller.hangs_up()


@pytest.mark.parametrize(
    "upgrade",
    [
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n",
        b"connection: upgrade\r\nupgrade: websocket\r\n",
    ],
)
def test_an_upgrade_is_declined_by_an_answer(upgrade: bytes) -> None:
    for request in (GET, POST):
        line, _, rest = request.partition(b"\r\n")
        caller = Caller().sends(line + b"\r\n" + upgrade + rest, GET)
        assert [status for status, _ in caller.reads()] == [200]
        assert b"connection: close" in caller.wire.written
        caller.hangs_up()


def test_a_stop_closes_who_is_idle_and_lets_others_finish() -> None:
    idle = Caller().sends(GET)
    idle.connection.stop()
    assert idle.wire.closed
    idle.hangs_up()

    half = Caller().sends(POST[:-2])
    half.connection.stop()
    assert not half.wire.closed
    half.sends(POST[-2:])
    assert half.reads() == [(200, b"POST /p hello")]
    assert b"connection: close" in half.wire.written
    assert half.wire.closed
    half.hangs_up()


def test_it_is_known_whose_turn_it_is() -> None:
    caller = Caller()
    assert caller.connection.waits_for_caller
    caller.sends(POST[:-1])
    assert caller.connection.waits_for_caller

    async def waiting(turn: Turn) -> None:  # noqa: ARG001
        await serving.loop.create_future()

    serving = Caller(waiting)
    serving.sends(GET)
    assert not serving.connection.waits_for_caller
    serving.connection.pause_writing()
    assert serving.connection.waits_for_caller
    for one in (caller, serving):
        one.wire.closed = True
        one.connection.connection_lost(None)
        one.sends()
        one.loop.close()


def test_a_head_that_trickles_in_does_not_count_as_being_heard() -> None:
    caller = Caller()
    caller.sends(GET)
    caller.now = 5.0
    caller.sends(GET[:10])
    assert caller.connection.heard_at == 0.0
    caller.sends(GET[10:])
    assert caller.connection.heard_at == 5.0
    caller.hangs_up()
