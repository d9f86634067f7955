"""Webhooks: who is told of decisions and changes, and how a message is signed.

Messages follow the Standard Webhooks specification (https://www.standardwebhooks.com): the headers
``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, which is HMAC-SHA256 over
``id.timestamp.body``. A receiver drops an id that it has seen: deliveries are at least once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import timedelta

import msgspec

from services.domain.errors import InvalidDefinition

SECRET_PREFIX = "whsec_"  # noqa: S105 - what the standard puts before a secret
SHORTEST_SECRET_BYTES = 24

RETRY_AFTER = tuple(
    timedelta(seconds=seconds) for seconds in (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400)
)
"""How long after each failed try the next one comes; after the last one the delivery has failed."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send which events, such as ``decision.recorded`` or ``experiment.start``.

    ``events`` empty: all of them; ``experiment.*`` stands for all of a kind.
    """

    key: str
    url: str
    secret: str
    """A reference to the signing secret: ``env:NAME`` or ``file:/path``."""
    events: tuple[str, ...] = ()
    enabled: bool = True


def signing_key(secret: str) -> bytes:
    """Return the key of a secret as the standard writes it: ``whsec_`` and base64, 24 to 64 bytes.

    Raises InvalidDefinition, which does not repeat the secret.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.strip().startswith(SECRET_PREFIX) or len(key) < SHORTEST_SECRET_BYTES:
        raise InvalidDefinition(
            "secret",
            f"leads to something that is no signing secret: {SECRET_PREFIX} followed by the base64 of at "
            f"least {SHORTEST_SECRET_BYTES} random bytes, such as "
            f"`echo {SECRET_PREFIX}$(openssl rand -base64 32)`",
        )
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` of a message. ``timestamp`` in seconds since the epoch."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def next_try_after(tries: int) -> timedelta | None:
    """Return how long to wait after so many tries have failed; None when it was the last one."""
    return RETRY_AFTER[tries - 1] if tries <= len(RETRY_AFTER) else None
