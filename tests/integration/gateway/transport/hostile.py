"""What servers may do to a client. Each script serves connections in its own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.integration.gateway.transport.servers import Script, Talk

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nx-flood: "


@dataclass(frozen=True)
class Hostile:
    """A script, and how often and with what body it is asked."""

    script: Script
    asks: int = 1
    body_bytes: int = 20
    seconds: float = 5.0


def _once(*pieces: bytes, then: str = "wait") -> Script:
    """Hear a request, say the pieces, and end this way: wait for the client to leave, close, or reset."""

    async def script(talk: Talk) -> None:
        await talk.hear()
        await talk.say(*pieces)
        if then == "wait":
            await talk.until_left()
        elif then == "reset":
            talk.reset()

    return script


def _always(*pieces: bytes) -> Script:
    """Answer every request on the connection like this."""

    async def script(talk: Talk) -> None:
        while True:
            await talk.hear()
            await talk.say(*pieces)

    return script


async def _half_closes_before(talk: Talk) -> None:
    talk.writer.write_eof()
    await talk.until_left()


async def _answers_before_the_body(talk: Talk) -> None:
    await talk.reader.readuntil(b"\r\n\r\n")
    await talk.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
    await talk.until_left()


async def _closes_on_second(talk: Talk) -> None:
    await talk.hear()
    await talk.say(WHOLE)
    await talk.hear()


async def _resets_on_second(talk: Talk) -> None:
    await talk.hear()
    await talk.say(WHOLE)
    await talk.hear()
    talk.reset()


async def _breaks_second_head(talk: Talk) -> None:
    await talk.hear()
    await talk.say(WHOLE)
    if talk.number == 1:
        await talk.hear()
        await talk.say(b"HTTP/1.1 2")


async def _never_reads(talk: Talk) -> None:
    talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await talk.writer.wait_closed()


async def _floods(talk: Talk) -> None:
    await talk.hear()
    await talk.say(ENDLESS)
    while True:
        await talk.say(b"x" * 65536)


async def _floods_informational(talk: Talk) -> None:
    await talk.hear()
    while True:
        await talk.say(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n" * 100)


async def _floods_trailers(talk: Talk) -> None:
    await talk.hear()
    await talk.say(CHUNKED + b"5\r\nhello\r\n0\r\n")
    while True:
        await talk.say(b"x-trailer: flood\r\n" * 1000)


async def _floods_an_extension(talk: Talk) -> None:
    await talk.hear()
    await talk.say(CHUNKED + b"5;a=")
    while True:
        await talk.say(b"x" * 65536)


def _bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def _with_length(value: bytes) -> Script:
    return _once(OK + b"content-length: " + value + b"\r\n\r\nhello", then="close")


def _answers() -> dict[str, Hostile]:
    """Odd, and still answers."""
    return {
        "content-length": Hostile(_always(WHOLE), asks=3),
        "chunked": Hostile(_always(CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), asks=3),
        "chunk extension": Hostile(_always(CHUNKED + b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n"), asks=2),
        "trailers": Hostile(_always(CHUNKED + b"5\r\nhello\r\n0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n"), asks=2),
        "byte by byte": Hostile(_always(*_bytewise(WHOLE)), asks=2),
        "chunked byte by byte": Hostile(_always(*_bytewise(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")), asks=2),
        "until close": Hostile(_once(OK + b"\r\n", b"hel", b"lo", then="close"), asks=2),
        "HTTP/1.0 until close": Hostile(_once(b"HTTP/1.0 200 OK\r\n\r\nhello", then="close"), asks=2),
        "HTTP/1.0 with length": Hostile(
            _once(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", then="close"), asks=2
        ),
        "HTTP/1.0 keep-alive": Hostile(
            _always(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello"), asks=2
        ),
        "connection: close": Hostile(
            _once(OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello"), asks=2
        ),
        "no body": Hostile(_always(b"HTTP/1.1 204 No Content\r\n\r\n"), asks=2),
        "not modified": Hostile(_always(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"), asks=2),
        "empty body": Hostile(_always(OK + b"content-length: 0\r\n\r\n"), asks=2),
        "empty chunked": Hostile(_always(CHUNKED + b"0\r\n\r\n"), asks=2),
        "100 unasked": Hostile(_always(b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE), asks=2),
        "103": Hostile(_always(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + WHOLE), asks=2),
        "ten times 102": Hostile(_always(b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + WHOLE), asks=2),
        "redirect": Hostile(
            _always(b"HTTP/1.1 307 Go\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"), asks=2
        ),
        "no reason": Hostile(_always(b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello")),
        "odd status": Hostile(_always(b"HTTP/1.1 799 What\r\ncontent-length: 5\r\n\r\nhello")),
        "utf-8 header": Hostile(
            _always(OK + "x-name: größe\r\n".encode() + b"content-length: 5\r\n\r\nhello")
        ),
        "early answer": Hostile(_answers_before_the_body, body_bytes=8_000_000, asks=2),
        "bare line feeds": Hostile(_once(b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello")),
        "folded header": Hostile(_once(OK + b"x-a: b\r\n  c\r\ncontent-length: 5\r\n\r\nhello")),
        "blank lines before": Hostile(_once(b"\r\n\r\n" + WHOLE)),
        "spaces after chunk size": Hostile(_once(CHUNKED + b"5  \r\nhello\r\n0\r\n\r\n")),
        "repeated equal length": Hostile(
            _once(OK + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello", then="close")
        ),
        "listed equal length": Hostile(_with_length(b"5, 5")),
        "unknown coding, then chunked": Hostile(
            _once(OK + b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        ),
        "unknown coding": Hostile(_once(OK + b"transfer-encoding: identity\r\n\r\nhello", then="close")),
        "200 headers": Hostile(_once(OK + b"x: y\r\n" * 200 + b"content-length: 5\r\n\r\nhello")),
        "10 KB header": Hostile(_once(OK + b"x: " + b"y" * 10_000 + b"\r\ncontent-length: 5\r\n\r\nhello")),
        "10 KB reason": Hostile(
            _once(b"HTTP/1.1 200 " + b"y" * 10_000 + b"\r\ncontent-length: 5\r\n\r\nhello")
        ),
        "10 KB chunk extension": Hostile(_once(CHUNKED + b"5;" + b"x" * 10_000 + b"\r\nhello\r\n0\r\n\r\n")),
    }


def _broken() -> dict[str, Hostile]:
    """No answers, or not whole ones."""
    return {
        "empty reply": Hostile(_once(then="close")),
        "half-closes before": Hostile(_half_closes_before),
        "half a head": Hostile(_once(OK + b"content-le", then="close")),
        "garbage": Hostile(_once(b"garbage\x00\xff\r\n\r\n", then="close")),
        "another protocol": Hostile(_once(b"SSH-2.0-OpenSSH_9.6\r\n", then="close")),
        "HTTP/0.9": Hostile(_once(b"<html>hello</html>", then="close")),
        "HTTP/2": Hostile(_once(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18)),
        "HTTP/9.9": Hostile(_once(b"HTTP/9.9 200 OK\r\ncontent-length: 5\r\n\r\nhello")),
        "status of two digits": Hostile(_once(b"HTTP/1.1 20 OK\r\ncontent-length: 5\r\n\r\nhello")),
        "status of four digits": Hostile(_once(b"HTTP/1.1 2000 OK\r\ncontent-length: 5\r\n\r\nhello")),
        "upgrade": Hostile(
            _once(b"HTTP/1.1 101 Switching\r\nupgrade: ws\r\nconnection: upgrade\r\n\r\n\x81\x05hello")
        ),
        "upgrade to nothing": Hostile(_once(b"HTTP/1.1 101 Switching\r\n\r\n")),
        "length too long": Hostile(_once(OK + b"content-length: 9\r\n\r\nhello", then="close")),
        "reset in the body": Hostile(_once(OK + b"content-length: 9\r\n\r\nhello", then="reset")),
        "reset until close": Hostile(_once(OK + b"\r\nhello", then="reset")),
        "reset before the head": Hostile(_once(then="reset")),
        "no last chunk": Hostile(_once(CHUNKED + b"5\r\nhello\r\n", then="close")),
        "half a chunk": Hostile(_once(CHUNKED + b"9\r\nhello", then="close")),
        "bad chunk size": Hostile(_once(CHUNKED + b"5\r\nhello\r\n", b"zz\r\n"), seconds=0.5),
        "huge chunk size": Hostile(_once(CHUNKED, b"f" * 20 + b"\r\nhello"), seconds=0.5),
        "negative chunk size": Hostile(_once(CHUNKED, b"-5\r\nhello"), seconds=0.5),
        "chunk longer than said": Hostile(_once(CHUNKED + b"3\r\nhel", b"lo\r\n0\r\n\r\n"), seconds=0.5),
        "negative length": Hostile(_with_length(b"-5")),
        "signed length": Hostile(_with_length(b"+5")),
        "length of letters": Hostile(_with_length(b"five")),
        "huge length": Hostile(_with_length(b"9" * 30)),
        "conflicting lengths": Hostile(
            _once(OK + b"content-length: 5\r\ncontent-length: 4\r\n\r\nhello", then="close")
        ),
        "length and chunked": Hostile(
            _once(OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        ),
        "header without colon": Hostile(_once(OK + b"nonsense\r\ncontent-length: 5\r\n\r\nhello")),
        "blank before colon": Hostile(_once(OK + b"content-length : 5\r\n\r\nhello")),
        "zero byte in header": Hostile(_once(OK + b"x-a: b\x00c\r\ncontent-length: 5\r\n\r\nhello")),
        "control byte in header": Hostile(_once(OK + b"x-a: b\x01c\r\ncontent-length: 5\r\n\r\nhello")),
        "10,000 headers": Hostile(_once(OK + b"x: y\r\n" * 10_000 + b"content-length: 5\r\n\r\nhello")),
        "1 MB header": Hostile(_once(OK + b"x: " + b"y" * 1_000_000 + b"\r\ncontent-length: 5\r\n\r\nhello")),
        "endless header": Hostile(_floods),
        "endless 103": Hostile(_floods_informational, seconds=0.5),
        "endless trailers": Hostile(_floods_trailers, seconds=0.5),
        "endless chunk extension": Hostile(_floods_an_extension, seconds=0.5),
        "gzip that breaks off": Hostile(
            _once(OK + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\n\x1f\x8b\x08\x00\x00")
        ),
        "gzip that is none": Hostile(_once(OK + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello")),
        "unknown compression": Hostile(
            _once(OK + b"content-encoding: zip\r\ncontent-length: 5\r\n\r\nhello")
        ),
        "hangs": Hostile(_once(), seconds=0.2),
        "stalls in the head": Hostile(_once(OK), seconds=0.2),
        "stalls in the body": Hostile(_once(OK + b"content-length: 9\r\n\r\nhello"), seconds=0.2),
        "never reads": Hostile(_never_reads, body_bytes=20_000_000, seconds=0.3),
    }


def _reuse() -> dict[str, Hostile]:
    """What becomes of the second request."""
    return {
        "closes on the second request": Hostile(_closes_on_second, asks=3),
        "resets on the second request": Hostile(_resets_on_second, asks=3),
        "breaks the second head": Hostile(_breaks_second_head, asks=2),
        "more than the answer": Hostile(_always(WHOLE + b"more"), asks=2),
        "two answers to one request": Hostile(_always(WHOLE + WHOLE.replace(b"hello", b"worse")), asks=2),
        "a line end after the answer": Hostile(_always(WHOLE + b"\r\n"), asks=2),
        "more after connection: close": Hostile(
            _once(OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhellomore"), asks=2
        ),
    }


def every_hostile_server() -> dict[str, Hostile]:
    """All of them by name."""
    sources: list[Callable[[], dict[str, Hostile]]] = [_answers, _broken, _reuse]
    return {name: hostile for source in sources for name, hostile in source().items()}
