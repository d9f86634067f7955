"""Keys, and the two headers they come in."""

from __future__ import annotations

import pytest

from services.domain.access import hash_key
from services.domain.configuration import CredentialConfig
from services.domain.errors import Unauthorized
from services.gateway.admission import authenticate

NOW = 1_800_000_000.0


def credential(key: bytes, **changes: object) -> CredentialConfig:
    known = {"version": (1, 1), "key_hash": hash_key(key), "key_id": key.decode(), "label": ""}
    return CredentialConfig(**(known | changes))  # type: ignore[arg-type]


KNOWN = {
    one.key_hash: one
    for one in (
        credential(b"one"),
        credential(b"two"),
        credential(b"revoked", revoked=True),
        credential(b"ends now", expires_at=NOW),
        credential(b"ends soon", expires_at=NOW + 0.001),
    )
}


@pytest.mark.parametrize(
    ("authorization", "api_key", "whose"),
    [
        (b"Bearer one", None, "one"),
        (b"bearer  one ", None, "one"),
        (None, b"two", "two"),
        (None, b" two ", "two"),
        (b"Bearer one", b"two", "one"),
        (b"Basic xyz", b"two", "two"),
        (b"Bearer ends soon", None, "ends soon"),
    ],
)
def test_a_key_that_is_known(authorization: bytes | None, api_key: bytes | None, whose: str) -> None:
    assert authenticate(authorization, api_key, KNOWN, NOW).key_id == whose


@pytest.mark.parametrize(
    ("authorization", "api_key", "why"),
    [
        (None, None, "no API key"),
        (b"one", None, "no API key"),
        (b"Bearer", None, "no API key"),
        (b"Bearer ", None, "not known"),
        (b"Bearer no", b"one", "not known"),
        (None, b"", "not known"),
        (b"Bearer revoked", None, "was revoked"),
        (b"Bearer ends now", None, "has expired"),
    ],
)
def test_a_key_that_is_none(authorization: bytes | None, api_key: bytes | None, why: str) -> None:
    with pytest.raises(Unauthorized, match=why):
        authenticate(authorization, api_key, KNOWN, NOW)


def test_a_hash_that_is_filed_under_another_is_nobodys() -> None:
    with pytest.raises(Unauthorized, match="not known"):
        authenticate(b"Bearer three", None, {hash_key(b"three"): credential(b"one")}, NOW)
