"""Which role a handler takes, and what a caller with too low a role is told."""

import pytest

from services.api.callers import THE_ADMIN, Caller
from services.api.roles import check_role, role_taken, takes
from services.domain.access import ControlRole
from services.domain.errors import Forbidden


def plain() -> None:
    """A handler that declares nothing."""


@takes("admin")
def declared() -> None:
    """A handler that declares its role."""


@pytest.mark.parametrize(
    ("methods", "role"),
    [
        ({"GET"}, "viewer"),
        ({"GET", "HEAD"}, "viewer"),
        ({"POST"}, "editor"),
        ({"PUT"}, "editor"),
        ({"PATCH"}, "editor"),
        ({"DELETE"}, "editor"),
        ({"GET", "POST"}, "editor"),
    ],
)
def test_what_is_not_declared_goes_by_the_method(methods: set[str], role: ControlRole) -> None:
    assert role_taken(plain, methods) == role
    assert role_taken(declared, methods) == "admin"


def test_whoever_may_more_may_less() -> None:
    for needed in ("viewer", "editor", "admin"):
        check_role(THE_ADMIN, needed)
    check_role(Caller("e", "editor", "e"), "viewer")


def test_a_refusal_names_both_roles() -> None:
    with pytest.raises(Forbidden, match=r"takes the role editor, and key_1 \(ada\) has the role viewer"):
        check_role(Caller("key_1 (ada)", "viewer", "key_1"), "editor")
    with pytest.raises(Forbidden, match="is for the gateway; this takes a key of the role viewer"):
        check_role(Caller("key_1 (app)", "client", "key_1"), "viewer")
