"""Which request headers an experiment may read values from."""

from __future__ import annotations

from services.domain.errors import InvalidDefinition

CREDENTIAL_HEADERS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "ocp-apim-subscription-key",
        "proxy-authorization",
        "set-cookie",
        "x-access-token",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-goog-api-key",
        "x-headgate-feedback-token",
    }
)
"""In lower case. What an experiment reads is stored, shown with its results and part of feedback tokens."""


def carries_credentials(header: str) -> bool:
    """Say whether callers prove with the header who they are."""
    return header.strip().lower() in CREDENTIAL_HEADERS


def check_header(field: str, header: str | None) -> None:
    """Raise InvalidDefinition where the header's values must not be stored."""
    if header is not None and carries_credentials(header):
        raise InvalidDefinition(
            field,
            f"names {header!r}, which carries credentials, and what it holds would be stored and shown; have "
            "callers send the value in a header of its own, such as x-tenant-tier",
        )
