"""Which role an address of the control plane takes: declared beside its handler, or by its method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from services.api.callers import Caller
from services.domain.access import ControlRole, may
from services.domain.errors import Forbidden

Handler = TypeVar("Handler", bound=Callable[..., Any])

_READING = frozenset({"GET", "HEAD"})
_ATTRIBUTE = "__headgate_role__"


def takes(role: ControlRole) -> Callable[[Handler], Handler]:
    """Declare the role that a handler takes, where it is not that of its method. Goes below the address."""

    def declared(handler: Handler) -> Handler:
        setattr(handler, _ATTRIBUTE, role)
        return handler

    return declared


def role_taken(handler: Callable[..., Any], methods: Iterable[str]) -> ControlRole:
    """Return the declared role; else ``viewer`` for what only reads, and ``editor`` for all the rest."""
    by_method: ControlRole = "viewer" if set(methods) <= _READING else "editor"
    role: ControlRole = getattr(handler, _ATTRIBUTE, by_method)
    return role


def check_role(caller: Caller, needed: ControlRole, what: str = "this") -> None:
    """Raise Forbidden where the caller's role is too low, saying which one is needed and who can give it."""
    if may(caller.role, needed):
        return
    if caller.role == "client":
        raise Forbidden(
            f"{caller.actor} is a client's key, which is for the gateway; {what} takes a key of the role "
            f"{needed}, which an admin can make with POST /v1/keys"
        )
    raise Forbidden(
        f"{what} takes the role {needed}, and {caller.actor} has the role {caller.role}; ask an admin "
        "to do it, or to make a key of that role with POST /v1/keys"
    )
