"""What commands print: a secret by itself, or a token with its time of expiry, as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import msgspec

EARLY_SECONDS = 300.0
"""How long before its expiry a token is asked for again."""
PLAIN_SECONDS = 300.0
"""How often a secret is asked for again that does not say when it expires."""
SHORTEST_SECONDS = 1.0


class UnreadableToken(Exception):
    """There is no secret in it. The message never repeats it."""


@dataclass(frozen=True, slots=True)
class Token:
    """A secret, and until when it can be used, in seconds since the epoch; infinity where nobody says."""

    secret: str
    expires_at: float = math.inf

    def refresh_after_seconds(self, now: float) -> float:
        """Return when to ask for the next one: well before the expiry, and not over and over at its end."""
        if math.isinf(self.expires_at):
            return PLAIN_SECONDS
        left = self.expires_at - now
        return max(left - EARLY_SECONDS, left / 2, SHORTEST_SECONDS)


class _Printed(msgspec.Struct):
    """As ``az account get-access-token`` and the identity endpoints of Azure print it."""

    accessToken: str | None = None  # noqa: N815 - its name
    access_token: str | None = None
    expires_on: float | str | None = None
    expiresOn: float | str | None = None  # noqa: N815 - its name
    expires_in: float | str | None = None


_decode = msgspec.json.Decoder(_Printed).decode


def read_token(output: bytes, now: float) -> Token:
    """Return the secret that was printed. Raises UnreadableToken."""
    text = output.strip()
    if not text:
        raise UnreadableToken("printed nothing")
    if text.startswith(b"{"):
        return _from_json(text, now)
    try:
        secret = text.decode("ascii")
    except UnicodeDecodeError:
        raise UnreadableToken("printed something else than ASCII") from None
    if len(secret.split()) != 1:
        raise UnreadableToken("printed more than one word")
    return Token(secret)


def _from_json(text: bytes, now: float) -> Token:
    try:
        printed = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableToken("printed JSON that is no access token") from None
    secret = printed.accessToken or printed.access_token
    if not secret:
        raise UnreadableToken("printed JSON without accessToken or access_token")
    try:
        expires_at = _expiry(printed, now)
    except ValueError:
        raise UnreadableToken("printed a time of expiry that cannot be read") from None
    if expires_at <= now:
        raise UnreadableToken("printed a token that has expired")
    return Token(secret, expires_at)


def _expiry(printed: _Printed, now: float) -> float:
    if printed.expires_on is not None:
        return _moment(printed.expires_on)
    if printed.expiresOn is not None:
        return _moment(printed.expiresOn)
    return math.inf if printed.expires_in is None else now + float(printed.expires_in)


def _moment(given: float | str) -> float:
    try:
        return float(given)
    except ValueError:
        # az writes local time without saying so.
        return datetime.fromisoformat(str(given)).timestamp()
