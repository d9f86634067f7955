"""Asking for a variant by name: for tests and health checks, outside of every experiment.

The request is served by the named variant of its route, whatever the split says. Its unit is not randomised,
so its outcome carries no assignment, no shadow gets a copy of it, and the answer says that it was forced.
"""

from __future__ import annotations

from services.domain.configuration import FORCE_VARIANT, CredentialConfig
from services.gateway.choices import Choice
from services.gateway.rejections import ScopeMissing, UnknownVariant
from services.gateway.view import ServedRoute

HEADER = b"x-headgate-force-variant"


def force(wanted: bytes, route: ServedRoute, credential: CredentialConfig) -> Choice:
    """Return the choice of the variant that ``wanted`` names.

    Raises ScopeMissing where the key may not force, UnknownVariant where the route has no such variant.
    """
    if FORCE_VARIANT not in credential.scopes:
        raise ScopeMissing(
            f"your key {credential.key_id} may not force a variant: it lacks the scope {FORCE_VARIANT!r}; "
            f"ask for a key that has it, or leave out the header {HEADER.decode()}"
        )
    key = wanted.decode("utf-8", "backslashreplace")
    if key not in route.config.variants:
        known = ", ".join(sorted(route.config.variants))
        raise UnknownVariant(
            f"route {route.config.key!r} has no variant {key!r} at the moment; it has {known}, and others "
            "once an experiment brings them"
        )
    return route.choices.forced(key)
