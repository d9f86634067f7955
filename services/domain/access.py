"""Who may do what: the roles of keys, in ascending order, and how a key is looked up."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

Role = Literal["client", "viewer", "editor", "admin"]
"""``client`` asks models at the gateway; the others are for the control api, in ascending order."""
ControlRole = Literal["viewer", "editor", "admin"]
KeyState = Literal["active", "expiring", "expired", "revoked"]

_RANKS = {role: rank for rank, role in enumerate(get_args(Role))}


def may(role: Role, needed: ControlRole) -> bool:
    """Say whether a role does for what needs another one."""
    return _RANKS[role] >= _RANKS[needed]


def hash_key(key: bytes) -> str:
    """Return what a key is stored and looked up as. Keys are long and random: a fast hash is enough."""
    return hashlib.sha256(key).hexdigest()
