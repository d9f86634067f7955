"""What keeps the policy from acting: an experiment's mode, and freezes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Mode = Literal["act", "observe"]
"""Whether an experiment's policy acts, or everything is computed and shown and nothing is done."""

EVERYWHERE = "*"
"""The scope of a freeze of all routes. No route has this key."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stop of every automatic change but rollbacks, on one route or on all. People may still act."""

    scope: str
    actor: str
    reason: str
    created_at: datetime

    @property
    def sentence(self) -> str:
        """Who froze what and why, and how it is lifted."""
        if self.scope == EVERYWHERE:
            what, lift = "all routes are", "/v1/freeze"
        else:
            what, lift = f"route {self.scope!r} is", f"/v1/routes/{self.scope}/freeze"
        why = f": {self.reason}" if self.reason else ""
        return f"{what} frozen by {self.actor}{why} (DELETE {lift} lifts it)"
