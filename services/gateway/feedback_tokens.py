"""Feedback tokens: what an answer's feedback will need to know of it, signed, so that nobody has to keep it.

token = base64url(code || content), without padding
content = MessagePack array of the fields of ``FeedbackToken``
code = BLAKE2b of the content, 16 bytes, keyed
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode

import msgspec

from services.domain.errors import HeadgateError
from services.domain.events import AssignedTo, UnitSource
from services.gateway.feedback_keys import MAC_BYTES, FeedbackKeys

SCHEMA = 1
LONGEST_TOKEN = 4096
_TO_URL = bytes.maketrans(b"+/", b"-_")


class FeedbackToken(msgspec.Struct, frozen=True, array_like=True):
    """What is known of the answer. ``issued_at`` is in seconds since the epoch."""

    unit_hash: int
    unit_source: UnitSource
    request_id: str
    route_key: str
    assignments: tuple[AssignedTo, ...]
    attributes: dict[str, str]
    issued_at: int
    schema: int = SCHEMA


class InvalidToken(HeadgateError):
    """The token is not one of this gateway's."""

    http_status = 400
    code = "invalid_feedback_token"


class ExpiredToken(HeadgateError):
    """The token is good, and too old."""

    http_status = 400
    code = "expired_feedback_token"


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode = msgspec.msgpack.Decoder(FeedbackToken).decode


class FeedbackTokens:
    """Issues tokens and opens them. ``lifetime_seconds`` is how long after the answer one is accepted."""

    def __init__(self, keys: FeedbackKeys, lifetime_seconds: float) -> None:
        self._keys = keys
        self._lifetime_seconds = lifetime_seconds

    def problem(self, now: float) -> str | None:
        """Return what is wrong with the key. ``now`` in seconds since the epoch, as everywhere here."""
        self._keys.at(now)
        return self._keys.problem

    def issue(self, content: FeedbackToken, now: float) -> bytes | None:
        """Return a token; None where there is no key to sign it with."""
        signers = self._keys.at(now)
        if not signers:
            return None
        message = _encode(content)
        signed = binascii.b2a_base64(signers[0].code(message) + message, newline=False)
        return signed.translate(_TO_URL).rstrip(b"=")

    def open(self, token: str, now: float) -> FeedbackToken:
        """Return what a token says. Raises InvalidToken and ExpiredToken."""
        raw = _raw(token)
        code, message = raw[:MAC_BYTES], raw[MAC_BYTES:]
        # Each key is tried, whatever the others say, so that the time tells nothing of which one it was.
        found = [hmac.compare_digest(signer.code(message), code) for signer in self._keys.at(now)]
        if not any(found):
            raise InvalidToken(
                "is no token of this gateway; send the answer's x-headgate-feedback-token as it came, "
                "to a gateway with the same feedback key"
            )
        try:
            content = _decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            content = None
        if content is None or content.schema != SCHEMA:
            raise InvalidToken("is of another release than this gateway")
        if now - content.issued_at > self._lifetime_seconds:
            raise ExpiredToken(
                f"is older than {self._lifetime_seconds / 86_400:g} days, the longest that feedback is taken"
            )
        return content


def _raw(token: str) -> bytes:
    """Return the bytes of a token; empty where it is no base64url, or not as we spell it."""
    try:
        raw = b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
    except (ValueError, UnicodeEncodeError):
        return b""
    spelled = binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")
    # Bits behind the last byte could be changed at will otherwise.
    return raw if spelled == token.encode() else b""
