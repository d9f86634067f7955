"""Feedback tokens: what comes back is what was signed, and nothing else is accepted."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import AssignedTo, Role, UnitSource
from services.gateway.feedback_keys import FeedbackKeys, Signer
from services.gateway.feedback_tokens import (
    ExpiredToken,
    FeedbackToken,
    FeedbackTokens,
    InvalidToken,
)
from services.gateway.secret_references import SecretResolver

NOW = 1_700_000_000.0
DAY = 86_400.0
KEY, OTHER_KEY = "k" * 32, "o" * 32


def tokens(key: str = KEY) -> FeedbackTokens:
    return FeedbackTokens(FeedbackKeys(SecretResolver({}), None, key), 30 * DAY)


def content(issued_at: float = NOW) -> FeedbackToken:
    assigned = AssignedTo(UUID(int=1), 3, Role.TREATMENT, 2_000, 1)
    return FeedbackToken(
        2**64 - 1, UnitSource.USER, "0190c5c2", "support", (assigned,), {"tier": "gold"}, int(issued_at)
    )


def issued(by: FeedbackTokens, what: FeedbackToken | None = None, now: float = NOW) -> str:
    token = by.issue(what or content(now), now)
    assert token is not None
    return token.decode("ascii")


texts = st.text(max_size=40)
assignments = st.builds(
    AssignedTo,
    st.uuids(),
    st.integers(1, 100),
    st.sampled_from(Role),
    st.integers(1, 9_999),
    st.integers(-1, 9),
)
contents = st.builds(
    FeedbackToken,
    st.integers(0, 2**64 - 1),
    st.sampled_from(UnitSource),
    texts,
    texts,
    st.lists(assignments, max_size=3).map(tuple),
    st.dictionaries(texts, texts, max_size=5),
    st.just(int(NOW)),
)


@given(contents)
def test_what_was_signed_comes_back(what: FeedbackToken) -> None:
    ours = tokens()
    token = issued(ours, what)
    assert ours.open(token, NOW) == what
    # It goes into a header and into JSON as it is.
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_character_is_a_forgery(place: int, character: str) -> None:
    ours = tokens()
    good = issued(ours)
    place %= len(good)
    changed = good[:place] + character + good[place + 1 :]
    if changed != good:
        with pytest.raises(InvalidToken):
            ours.open(changed, NOW)


@given(st.integers(1, 200))
def test_a_token_that_was_cut_off_is_none(length: int) -> None:
    ours = tokens()
    good = issued(ours)
    with pytest.raises(InvalidToken):
        ours.open(good[:-length], NOW)


@given(st.text(max_size=300))
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(InvalidToken):
        tokens().open(text, NOW)


@given(contents, st.binary(max_size=100))
def test_another_key_signs_nothing_for_us(what: FeedbackToken, key: bytes) -> None:
    with pytest.raises(InvalidToken):
        tokens().open(issued(tokens(OTHER_KEY + key.hex()), what), NOW)


def test_a_code_is_for_tokens_only() -> None:
    assert Signer(KEY).code(b"x") != Signer(OTHER_KEY).code(b"x")
    assert len(Signer(KEY).code(b"x")) == 16


@pytest.mark.parametrize(("age", "good"), [(0, True), (30 * DAY, True), (30 * DAY + 1, False)])
def test_a_token_expires(age: float, good: bool) -> None:
    ours = tokens()
    token = issued(ours)
    if good:
        assert ours.open(token, NOW + age).issued_at == NOW
    else:
        with pytest.raises(ExpiredToken, match="30 days"):
            ours.open(token, NOW + age)


def test_a_token_of_another_release() -> None:
    newer = FeedbackToken(1, UnitSource.USER, "", "", (), {}, int(NOW), schema=2)
    ours = tokens()
    with pytest.raises(InvalidToken, match="another release"):
        ours.open(issued(ours, newer), NOW)


def test_a_key_is_changed_without_refusing_anybody(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys", [0.0]
    path.write_text(f"{KEY}\n")
    keys = FeedbackKeys(SecretResolver({}, clock=lambda: clock[0]), f"file:{path}", "unused")
    ours = FeedbackTokens(keys, 30 * DAY)
    old = issued(ours)

    def rewrite(text: str) -> float:
        path.unlink()
        path.write_text(text)
        clock[0] += 10
        return NOW + clock[0]

    now = rewrite(f"{KEY}\n{OTHER_KEY}\n")
    tokens(KEY).open(issued(ours, now=now), now)
    ours.open(issued(tokens(OTHER_KEY)), now)

    now = rewrite(f"{OTHER_KEY} {KEY}")
    tokens(OTHER_KEY).open(issued(ours, now=now), now)
    assert ours.open(old, now) == content()

    now = rewrite(OTHER_KEY)
    with pytest.raises(InvalidToken):
        ours.open(old, now)


def test_a_key_that_is_gone_is_used_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "keys", [0.0]
    path.write_text(KEY)
    keys = FeedbackKeys(SecretResolver({}, clock=lambda: clock[0]), f"file:{path}", "unused")
    ours = FeedbackTokens(keys, 30 * DAY)
    token = issued(ours)
    path.unlink()
    clock[0] += 10
    ours.open(token, NOW + 10)
    assert "leads to no key" in caplog.text
    assert ours.problem(NOW + 10) == "the reference leads to no key"
    path.write_text(KEY)
    clock[0] += 10
    ours.open(token, NOW + 20)
    assert ours.problem(NOW + 20) is None


@pytest.mark.parametrize(
    ("secret", "problem"), [(None, "no key"), ("", "no key"), ("canary-key", "32 characters")]
)
def test_without_a_key_there_are_no_tokens(
    secret: str | None, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {} if secret is None else {"FEEDBACK": secret}
    ours = FeedbackTokens(FeedbackKeys(SecretResolver(environment), "env:FEEDBACK", KEY), DAY)
    assert ours.issue(content(), NOW) is None
    assert problem in caplog.text
    assert "canary-key" not in caplog.text
    with pytest.raises(InvalidToken):
        ours.open(issued(tokens(KEY)), NOW)
