"""The errors Headgate raises on purpose, in one tree.

    HeadgateError
    ├── InvalidDefinition        422  a definition breaks a rule; names the field
    ├── NotFound                 404  no such route, variant, endpoint, experiment
    ├── Conflict                 409  the state does not allow it
    │   └── VersionConflict      409  somebody else changed it first
    ├── Unauthorized             401  the key is missing or unknown
    ├── Forbidden                403  the key may not do this
    ├── PayloadTooLarge          413  the body is over the limit
    ├── Unserveable              503  the gateway has nobody to ask
    │   ├── NoHealthyEndpoints   503  every endpoint of the variant is drained or unknown
    │   ├── EndpointUnavailable  503  the only endpoint could not be reached
    │   └── AllEndpointsFailed   503  each endpoint was tried and failed
    └── InstallationMismatch     –    topics, partitions or schema are not what was recorded; refuses to start

Every message says what to do next.
"""

from __future__ import annotations


class HeadgateError(Exception):
    """Anything Headgate raises on purpose.

    ``http_status`` is what an HTTP edge answers with; ``code`` is stable and meant for programs.
    """

    http_status = 500
    code = "internal_error"


class InvalidDefinition(HeadgateError):
    """A definition breaks a rule. ``field`` is its dotted path in what the caller sent."""

    http_status = 422
    code = "invalid_definition"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.problem = message


class NotFound(HeadgateError):
    """There is no such thing under that name."""

    http_status = 404
    code = "not_found"


class Conflict(HeadgateError):
    """The present state does not allow the change."""

    http_status = 409
    code = "conflict"


class VersionConflict(Conflict):
    """Somebody else changed it between reading and writing."""

    code = "version_conflict"


class Unauthorized(HeadgateError):
    """The key is missing, unknown or revoked."""

    http_status = 401
    code = "invalid_api_key"


class Forbidden(HeadgateError):
    """The key is known and may not do this."""

    http_status = 403
    code = "forbidden"


class PayloadTooLarge(HeadgateError):
    """The body is larger than the configured limit."""

    http_status = 413
    code = "request_too_large"


class Unserveable(HeadgateError):
    """The gateway has nobody to pass the request on to."""

    http_status = 503
    code = "unserveable"


class NoHealthyEndpoints(Unserveable):
    """Every endpoint of the variant is drained, unknown or without its secret."""

    code = "no_healthy_endpoints"


class EndpointUnavailable(Unserveable):
    """The variant has one endpoint, and it could not be reached."""

    code = "endpoint_unavailable"


class AllEndpointsFailed(Unserveable):
    """Each of the variant's endpoints was tried, and each failed."""

    code = "all_endpoints_failed"


class InstallationMismatch(HeadgateError):
    """Topics, partitions or schema are not what the installation recorded: refuse to start."""

    code = "installation_mismatch"
