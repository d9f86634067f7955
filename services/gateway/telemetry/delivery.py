"""How exporting goes: counted, and said once when it changes."""

from __future__ import annotations

import logging

from services.gateway.telemetry.choosing import Signal

logger = logging.getLogger(__name__)


class Delivery:
    """The exports of one signal. Written by its exporter's thread, read by whoever counts."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.exported = 0
        """Spans, or reports of metrics, that a collector took."""
        self.failed = 0
        """The same that none took; they are lost."""
        self._failing = False

    def note(self, count: int, *, succeeded: bool, address: str) -> None:
        """An export is over."""
        if succeeded:
            self.exported += count
        else:
            self.failed += count
        if succeeded and self._failing:
            logger.info("%s are exported to %s again", self.signal, address)
        elif not succeeded and not self._failing:
            logger.warning(
                "%s cannot be exported to %s; requests are served all the same. Said once until it works "
                "again; HEADGATE_LOG_LEVEL=DEBUG shows why",
                self.signal,
                address,
            )
        self._failing = not succeeded
