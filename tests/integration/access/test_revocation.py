"""What is done to a key at the control plane, seen at three gateways."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

from tests.integration.access.conftest import Installation

logger = logging.getLogger(__name__)


async def test_a_revoked_key_stops_working_at_every_gateway(installation: Installation) -> None:
    await installation.start_gateways(3)
    seconds: list[float] = []
    for _ in range(10):
        key_id, key = await installation.make_key()
        for gateway in installation.gateways:
            await installation.until_taken(gateway, key)
        await installation.revoke(key_id)
        answered = time.monotonic()
        refused = (installation.until_refused(one, key, "was revoked") for one in installation.gateways)
        await asyncio.gather(*refused)
        seconds.append(time.monotonic() - answered)
    logger.info("refused by all three after %s ms", sorted(round(one * 1000) for one in seconds))


async def test_both_keys_work_until_the_old_one_expires(installation: Installation) -> None:
    await installation.start_gateways(3)
    old_id, old = await installation.make_key(routes=["chat"])
    rotated = await installation.api.post(f"/v1/keys/{old_id}/rotate", {"overlap_seconds": 3_600})
    new = rotated.body["key"]
    for gateway in installation.gateways:
        await installation.until_taken(gateway, new)
        assert await installation.refusal(gateway, old) is None

    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    shortened = await installation.api.call("PATCH", f"/v1/keys/{old_id}", json={"expires_at": soon})
    assert shortened.status == 200
    for gateway in installation.gateways:
        await installation.until_refused(gateway, old, "has expired")
        assert await installation.refusal(gateway, new) is None
    assert (await installation.api.get(f"/v1/keys/{old_id}")).body["state"] == "expired"


async def test_without_an_overlap_the_old_key_ends_at_once(installation: Installation) -> None:
    await installation.start_gateways(1)
    (gateway,) = installation.gateways
    old_id, old = await installation.make_key()
    await installation.until_taken(gateway, old)
    rotated = await installation.api.post(f"/v1/keys/{old_id}/rotate", {"overlap_seconds": 0})

    await installation.until_refused(gateway, old, "was revoked")
    assert await installation.refusal(gateway, rotated.body["key"]) is None


async def test_a_deleted_team_is_forgotten(installation: Installation) -> None:
    """What follows a tombstone on the topic still arrives."""
    await installation.start_gateways(1)
    (gateway,) = installation.gateways
    await installation.api.made("/v1/teams", {"key": "checkout", "label": "Checkout"})
    assert (await installation.api.call("DELETE", "/v1/teams/checkout")).status == 200
    _, key = await installation.make_key()
    await installation.until_taken(gateway, key)
