"""Who may come in: keys, looked up by their hash, and the routes each may use."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from services.domain.access import hash_key
from services.domain.configuration import CredentialConfig
from services.domain.errors import Unauthorized
from services.gateway.rejections import RouteNotAllowed, UnknownRoute
from services.gateway.view import ServedRoute

_BEARER = b"bearer "


def authenticate(
    authorization: bytes | None,
    api_key: bytes | None,
    credentials: Mapping[str, CredentialConfig],
    now: float,
) -> CredentialConfig:
    """Return whose key the request carries, by the values of the two headers it may come in.

    ``now``, in seconds since the epoch, is what a key's expiry is judged by. Raises Unauthorized without ever
    repeating the key. Keys are hashed anew each time (a quarter of a microsecond): none is kept in memory.
    """
    if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
        key = authorization[len(_BEARER) :].strip()
    elif api_key is not None:
        key = api_key.strip()
    else:
        raise Unauthorized(
            "no API key; send `Authorization: Bearer <key>`, or `api-key: <key>`, with a key of this gateway"
        )
    key_hash = hash_key(key)
    credential = credentials.get(key_hash)
    if credential is None or not hmac.compare_digest(credential.key_hash, key_hash):
        raise Unauthorized(
            "this API key is not known here, where keys of the role client are; ask for one with POST "
            "/v1/keys on the control api"
        )
    if credential.revoked:
        raise Unauthorized(f"the API key {credential.key_id} was revoked; ask for a new one")
    if credential.expires_at is not None and now >= credential.expires_at:
        raise Unauthorized(f"the API key {credential.key_id} has expired; ask for a new one")
    return credential


def find_route(model: str, credential: CredentialConfig, routes: Mapping[str, ServedRoute]) -> ServedRoute:
    """Return the route that ``model`` names, if the key may use it."""
    route = routes.get(model)
    if route is None:
        raise UnknownRoute(
            f"there is no route {model!r}; GET /v1/models lists the ones your key may use as `model`"
        )
    if credential.routes is not None and model not in credential.routes:
        raise RouteNotAllowed(
            f"your key may not use route {model!r}; GET /v1/models lists the ones it may, "
            "or ask for a key that allows it"
        )
    return route
