"""Keys, and the two headers they come in."""

from __future__ import annotations

import pytest

from services.domain.configuration import CredentialConfig
from services.domain.errors import Unauthorized
from services.gateway.admission import authenticate, hash_key

KNOWN = {
    hash_key(key): CredentialConfig(version=(1, 1), key_hash=hash_key(key), key_id=key.decode(), label="")
    for key in (b"one", b"two")
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
    ],
)
def test_a_key_that_is_known(authorization: bytes | None, api_key: bytes | None, whose: str) -> None:
    assert authenticate(authorization, api_key, KNOWN).key_id == whose


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (None, None),
        (b"one", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearer no", b"one"),
        (None, b""),
    ],
)
def test_a_key_that_is_none(authorization: bytes | None, api_key: bytes | None) -> None:
    with pytest.raises(Unauthorized):
        authenticate(authorization, api_key, KNOWN)
