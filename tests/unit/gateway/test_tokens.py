"""What commands print."""

from __future__ import annotations

import json
import math
from datetime import datetime

import pytest

from services.gateway.tokens import Token, UnreadableToken, read_token

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("printed", "expires_at"),
    [
        ({"accessToken": "t", "expires_on": 1_003_600, "expiresOn": "ignored"}, 1_003_600),
        ({"access_token": "t", "expires_on": "1003600", "token_type": "Bearer"}, 1_003_600),
        ({"access_token": "t", "expires_in": "60"}, NOW + 60),
        ({"accessToken": "t", "expiresOn": "2100-01-02 03:04:05.678900"}, None),
        ({"accessToken": "t", "expiresOn": "2100-01-02T03:04:05Z"}, 4102542245),
        ({"accessToken": "t"}, math.inf),
    ],
)
def test_json(printed: object, expires_at: float | None) -> None:
    if expires_at is None:
        expires_at = datetime(2100, 1, 2, 3, 4, 5, 678_900).timestamp()  # noqa: DTZ001 - az writes local time
    assert read_token(json.dumps(printed).encode() + b"\n", NOW) == Token("t", expires_at)


def test_a_secret_by_itself() -> None:
    assert read_token(b"  sk-123\n", NOW) == Token("sk-123")


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b" \n",
        b"Please log in: canary",
        b"caf\xc3\xa9",
        b"{canary",
        b'{"token": "canary"}',
        b'{"accessToken": 5}',
        b'{"accessToken": "canary", "expires_on": 999999}',
        b'{"accessToken": "canary", "expiresOn": "soon"}',
    ],
)
def test_what_is_no_secret_is_not_repeated(printed: bytes) -> None:
    with pytest.raises(UnreadableToken) as raised:
        read_token(printed, NOW)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("left", "after"), [(3_600, 3_300), (600, 300), (300, 150), (10, 5), (0.5, 1), (math.inf, 300)]
)
def test_a_token_is_asked_for_again_well_before_it_expires(left: float, after: float) -> None:
    assert Token("t", NOW + left).refresh_after_seconds(NOW) == after
