"""The errors Headgate raises on purpose, in one tree.

    HeadgateError
    ├── InvalidDefinition        422  a definition breaks a rule; names the field
    ├── NotFound                 404  no such route, variant, endpoint, experiment
    ├── Conflict                 409  the state does not allow it
    │   ├── VersionConflict      409  somebody else changed it first
    │   └── StillUnderWay        409  the same request was sent before and is not answered yet
    ├── PreconditionFailed       412  it is not as the caller has seen it
    ├── KeyReused                422  the Idempotency-Key belongs to another request
    ├── Unauthorized             401  the key is missing or unknown
    ├── Forbidden                403  the key may not do this
    ├── PayloadTooLarge          413  the body is over the limit
    ├── Unserveable              503  the gateway has nobody to ask
    │   ├── NoHealthyEndpoints   503  every endpoint of the variant is open, drained, unhealthy or unknown
    │   ├── EndpointUnavailable  503  one endpoint was asked and did not answer; no other could be
    │   ├── AllEndpointsFailed   503  several endpoints were asked, and each failed
    │   └── ConcurrencyLimited   429  the endpoints that could be asked have all they may have
    └── InstallationMismatch     –    topics, partitions or schema are not what was recorded; refuses to start

Every message says what to do next.
"""

from __future__ import annotations

from services.domain.status import OutcomeStatus


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


class StillUnderWay(Conflict):
    """The same request was sent before, and is not answered yet."""

    code = "still_under_way"


class PreconditionFailed(HeadgateError):
    """What was to be changed is not as the caller has seen it."""

    http_status = 412
    code = "precondition_failed"


class KeyReused(HeadgateError):
    """The Idempotency-Key came with another request before."""

    http_status = 422
    code = "idempotency_key_reused"


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
    """The gateway has nobody to pass the request on to.

    ``retry_after_seconds``, where known, is when asking again makes sense. ``outcome_status`` is what the
    request came to if no endpoint was asked.
    """

    http_status = 503
    code = "unserveable"
    outcome_status = OutcomeStatus.UNSERVEABLE

    def __init__(self, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NoHealthyEndpoints(Unserveable):
    """Nobody was asked: each endpoint's breaker is open, or it is drained, unhealthy or unknown."""

    code = "no_healthy_endpoints"


class EndpointUnavailable(Unserveable):
    """One endpoint was asked and gave no answer; there was no other, or no retry left for it."""

    code = "endpoint_unavailable"


class AllEndpointsFailed(Unserveable):
    """Several endpoints were asked, and none gave an answer."""

    code = "all_endpoints_failed"


class ConcurrencyLimited(Unserveable):
    """Nobody was asked: each endpoint that could be has as many requests as it may have."""

    http_status = 429
    code = "concurrency_limit"
    outcome_status = OutcomeStatus.REJECTED


class InstallationMismatch(HeadgateError):
    """Topics, partitions or schema are not what the installation recorded: refuse to start."""

    code = "installation_mismatch"
