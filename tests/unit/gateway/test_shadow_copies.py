"""Copies of answers: what they hold, and that it is free again."""

import json

import pytest

from services.domain.assignment import basis_point, shadow_salt
from services.domain.configuration import ShadowConfig
from services.domain.likeness import AnswerText
from services.gateway.body import RequestBody, open_body
from services.gateway.shadow_copies import LONGEST_ANSWER_BYTES, Copy, Room, ServedShadow
from services.gateway.surfaces import CHAT, EMBEDDINGS, Call, Surface
from tests.integration.gateway.test_shadows import shadow

ANSWER = json.dumps({"choices": [{"message": {"content": "hello"}}]}).encode()
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"hello "}}]}\n\n'


def body(surface: Surface = CHAT) -> RequestBody:
    return open_body(b'{"model":"chat"}', Call(surface))


async def test_what_is_kept_is_read() -> None:
    room = Room(10_000)
    whole, stream = Copy(room, 0), Copy(room, 0)
    whole.take_whole(ANSWER)
    for _ in range(3):
        stream.take_events(EVENT)
    assert await whole.read() == AnswerText("hello")
    assert await stream.read() == AnswerText("hello hello hello ")


async def test_a_long_stream_is_read_in_turns() -> None:
    copy = Copy(Room(1 << 30), 0)
    for _ in range(2_000):
        copy.take_events(EVENT)
    read = await copy.read()
    assert read is not None
    assert len(read.text) == 2_000 * len("hello ")


def test_room_is_free_again_when_a_copy_is_gone() -> None:
    room = Room(1_000)
    copy = Copy(room, 100)
    copy.take_whole(b"x" * 300)
    assert room.held == 400
    del copy
    assert room.held == 0


def test_without_room_nothing_is_held() -> None:
    room = Room(500)
    first = Copy(room, 400)
    second = Copy(room, 200)
    assert (first.refused, second.refused) == (None, "no_memory")
    first.take_whole(b"x" * 200)
    assert first.refused == "no_memory"
    second.take_whole(b"x")
    assert room.held == 0
    del first, second
    assert room.held == 0


def test_too_long_an_answer_is_not_kept() -> None:
    room = Room(1 << 30)
    copy = Copy(room, 10)
    for _ in range(3):
        copy.take_events(b"x" * (LONGEST_ANSWER_BYTES // 2))
    assert (copy.refused, room.held) == ("too_large", 0)


@pytest.mark.parametrize("sample_bp", [0, 1, 2_500, 10_000])
def test_requests_are_sampled_by_their_place(sample_bp: int) -> None:
    config: ShadowConfig = shadow("copy", sample_bp=sample_bp)
    served, asked = ServedShadow(config), body()
    for i in range(300):
        place = basis_point(shadow_salt(config.salt), f"request-{i}")
        assert served.samples(f"request-{i}", asked, 0.0) == (place < sample_bp)


def test_what_is_never_sampled() -> None:
    served = ServedShadow(shadow("copy", ends_at=100.0))
    assert served.samples("request", body(), 99.0)
    assert not served.samples("request", body(), 100.0)
    assert not served.samples("request", body(EMBEDDINGS), 99.0)
