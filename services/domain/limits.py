"""What a key, a team, a route, or each unit of a route may use."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Upper bounds over all gateways together; None is no bound.

    Per minute means in any 60 seconds, per day the calendar's in UTC. Tokens are prompt and completion
    together.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    """Requests under way at a time."""
    tokens_per_day: int | None = None
    dollars_per_day: float | None = None
