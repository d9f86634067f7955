"""The keys that feedback tokens are signed with: a secret by reference, or one made at the start.

The secret holds one or several keys, separated by white space. The first one signs and every one is accepted,
so a key is changed without refusing anybody: the new one is added behind the old one everywhere, then put
first, and the old one is taken out when the tokens that it signed have expired.
"""

from __future__ import annotations

import logging
import secrets
from hashlib import blake2b
from typing import Protocol

logger = logging.getLogger(__name__)

SHORTEST_KEY = 32
"""Characters; `openssl rand -hex 32` prints 64."""
LOOK_AGAIN_SECONDS = 1.0
MAC_BYTES = 16
_PURPOSE = b"headgate.token.1"


class Resolver(Protocol):
    """Finds a secret by its reference."""

    def resolve(self, reference: str) -> str | None:
        """Return the secret, or None where the reference leads nowhere."""


def random_key() -> str:
    """Return a key that nobody else has."""
    return secrets.token_hex(32)


class Signer:
    """Makes and checks codes with one key."""

    __slots__ = ("_keyed",)

    def __init__(self, key: str) -> None:
        # Keys may be longer than BLAKE2's, and their entropy spread thinly.
        digest = blake2b(key.encode(), digest_size=64, person=_PURPOSE).digest()
        self._keyed = blake2b(key=digest, digest_size=MAC_BYTES, person=_PURPOSE)

    def code(self, message: bytes) -> bytes:
        """Return the code of a message."""
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.digest()


class FeedbackKeys:
    """The signers of now. ``reference`` None: the ``own`` key, which no other gateway knows."""

    def __init__(self, resolver: Resolver, reference: str | None, own: str) -> None:
        self._resolver = resolver
        self._reference = reference
        self._secret: str | None = None
        self._look_at = float("-inf")
        self.problem: str | None = None
        """Why there is no key, or only the one from before."""
        self.signers: tuple[Signer, ...] = ()
        if reference is None:
            self.signers = (Signer(own),)
            self._look_at = float("inf")

    def at(self, now: float) -> tuple[Signer, ...]:
        """Return the signers, the first of which signs; none where there is no key. ``now`` in seconds."""
        if now >= self._look_at:
            self._look_at = now + LOOK_AGAIN_SECONDS
            self._look()
        return self.signers

    def _look(self) -> None:
        secret = self._resolver.resolve(self._reference or "")
        if secret == self._secret and secret is not None:
            self._note(None)
            return
        keys = (secret or "").split()
        if not keys:
            self._note("the reference leads to no key")
        elif min(map(len, keys)) < SHORTEST_KEY:
            self._note(
                f"a key is shorter than {SHORTEST_KEY} characters; make one with `openssl rand -hex 32`"
            )
        else:
            self._note(None)
            self._secret, self.signers = secret, tuple(Signer(key) for key in keys)

    def _note(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            consequence = (
                "the key of before is used on" if self.signers else "answers carry no feedback token"
            )
            logger.warning("feedback key %s: %s; %s", self._reference, problem, consequence)
        self.problem = problem
