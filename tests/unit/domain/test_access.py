"""Roles in ascending order, and what a key is looked up as."""

import hashlib
from typing import get_args

from services.domain.access import ControlRole, Role, hash_key, may

ROLES: tuple[Role, ...] = get_args(Role)
CONTROL: tuple[ControlRole, ...] = get_args(ControlRole)


def test_each_role_may_what_the_one_before_may() -> None:
    assert {role: [needed for needed in CONTROL if may(role, needed)] for role in ROLES} == {
        "client": [],
        "viewer": ["viewer"],
        "editor": ["viewer", "editor"],
        "admin": ["viewer", "editor", "admin"],
    }


def test_a_key_is_looked_up_by_its_sha256() -> None:
    assert hash_key(b"hg_x") == hashlib.sha256(b"hg_x").hexdigest()
