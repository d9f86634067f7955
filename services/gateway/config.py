"""The gateway's configuration: from the local snapshot at once, from ``config.v1`` as soon as it is read.

While the topic is read from its start, requests go on being served from what was there before. At the end
of that read the two are merged: the highest version of each name wins, and a name that the topic no longer
has is forgotten. A snapshot of another installation is dropped whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from aiokafka import ConsumerRecord

from services.domain.configuration import Config, InstallationConfig, config_key, is_lease
from services.gateway.view import ConfigView
from services.messaging.codec import decode_config

logger = logging.getLogger(__name__)

Source = Literal["none", "snapshot", "kafka"]


class ConfigStore:
    """Holds the current view and listens to ``config.v1`` (``services.messaging.consumer.Listener``).

    ``on_installation`` is called as soon as the installation is known, and if it turns out to be another one.
    """

    def __init__(
        self,
        on_installation: Callable[[InstallationConfig], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.view = ConfigView()
        self.source: Source = "none"
        self.changed = asyncio.Event()
        """Set by whatever is not just a lease that was renewed."""
        self.renewed = False
        """Whether a lease was renewed."""
        self.first_read = asyncio.Event()
        """Set once there is something to serve by."""
        self.limited = asyncio.Event()
        """Set once anything has limits."""
        self._clock = clock
        self._changed_at: float | None = None
        self._reading: ConfigView | None = None
        self._on_installation = on_installation
        self._told: InstallationConfig | None = None

    @property
    def ready(self) -> bool:
        """Whether there is something to serve by."""
        return self.view.installation is not None

    @property
    def age_seconds(self) -> float | None:
        """How long ago anything last changed."""
        return None if self._changed_at is None else self._clock() - self._changed_at

    def restore(self, states: Sequence[Config]) -> None:
        """Start from a snapshot."""
        self._swap(ConfigView(states), "snapshot")

    def begin(self) -> None:
        """A read from the topic's start begins."""
        self._reading = ConfigView()

    def records(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take records: into the view that is being built, later into the live one."""
        view = self.view if self._reading is None else self._reading
        keys = [(record.key or b"").decode("utf-8", "replace") for record in records]
        for key, record in zip(keys, records, strict=True):
            self._apply(view, key, record)
        if records and self._reading is None:
            self._note_change(only_leases=all(map(is_lease, keys)))

    def caught_up(self) -> None:
        """The first read is complete: from now on the topic is what we serve by."""
        if self._reading is None:
            return
        read, self._reading = self._reading, None
        if _same(self.view.installation, read.installation):
            for key in read.states.keys() & self.view.states.keys():
                read.put(self.view.states[key])
        if read.installation is None:
            logger.warning("config.v1 names no installation yet; run `headgate migrate` to publish it")
            if self.ready:
                # An emptied topic is no configuration: go on with what is held, and take what comes.
                return
        logger.info("configuration read: %d routes, %d endpoints", len(read.routes), len(read.endpoints))
        self._swap(read, "kafka")

    def _apply(self, view: ConfigView, key: str, record: ConsumerRecord[bytes, bytes]) -> None:
        if record.value is None:
            view.forget(key)
            return
        try:
            state = decode_config(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # A newer release may publish kinds that this one does not know: serve what we understand.
            logger.warning("config.v1 offset %d, key %s: not understood (%s)", record.offset, key, error)
            return
        if config_key(state) == key:
            view.put(state)
        else:
            logger.warning("config.v1 offset %d: key %s holds %s", record.offset, key, config_key(state))

    def _swap(self, view: ConfigView, source: Source) -> None:
        self.view, self.source = view, source
        self._note_change()

    def _note_change(self, *, only_leases: bool = False) -> None:
        self._changed_at = self._clock()
        if only_leases:
            self.renewed = True
            return
        self.changed.set()
        if self.view.limited:
            self.limited.set()
        installation = self.view.installation
        if installation is not None:
            self.first_read.set()
        if installation is not None and not _same(installation, self._told):
            self._told = installation
            # Called before any request can be served by this configuration.
            self._on_installation(installation)


def _same(one: InstallationConfig | None, other: InstallationConfig | None) -> bool:
    return one is not None and other is not None and one.installation_id == other.installation_id
