"""The configuration on the local disk, so that a gateway starts and serves while Kafka is away."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from services.domain.configuration import Config
from services.gateway.config import ConfigStore
from services.messaging.settings import KafkaSettings

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
LEASES_SECONDS = 10.0
"""After that long leases are written even if nothing else has changed: they are always renewed."""


class _Snapshot(msgspec.Struct):
    states: list[Config]
    schema: int = 1


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Snapshot).decode


def snapshot_path(state_dir: Path, settings: KafkaSettings) -> Path:
    """Return the file of one installation; the topics' prefix tells them apart."""
    prefix = "".join(c if c.isalnum() or c in "-_" else "_" for c in settings.topic_prefix)
    return state_dir / f"config{'-' + prefix if prefix else ''}.json"


def load_snapshot(path: Path) -> list[Config]:
    """Return the states of the snapshot; none where there is no snapshot or it cannot be read."""
    try:
        return _decode(path.read_bytes()).states
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("the snapshot %s cannot be used (%s); waiting for Kafka", path, error)
        return []


def save_snapshot(path: Path, states: list[Config]) -> None:
    """Replace the snapshot as a whole."""
    _write(path, _encode(_Snapshot(states)))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    # Hashes of keys and system prompts are nobody else's business.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)


async def keep_snapshot(path: Path, store: ConfigStore) -> None:
    """Write the snapshot whenever the configuration has changed, at most once a second, for ever."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(store.changed.wait(), LEASES_SECONDS)
        stale = store.changed.is_set() or store.renewed
        store.changed.clear()
        store.renewed = False
        if stale and store.source == "kafka":
            content = _encode(_Snapshot(list(store.view.states.values())))
            try:
                await asyncio.to_thread(_write, path, content)
            except OSError as error:
                logger.warning("the snapshot %s cannot be written: %s", path, error)
        await asyncio.sleep(PAUSE_SECONDS)
