"""Where the unit of a request is found, through the official client."""

from __future__ import annotations

from typing import Any

import pytest

from services.domain.assignment import outcome_partition, unit_hash
from services.domain.events import UnitSource
from tests.integration.gateway.running import (
    PARTITIONS,
    Installation,
    RunningGateway,
    endpoint,
    route,
    variant,
)

MESSAGES: Any = [{"role": "user", "content": "Say something calm."}]
HEADER = {"extra_headers": {"x-headgate-unit": "from-header"}}
SAFETY = {"safety_identifier": "from-safety"}
USER = {"user": "from-user"}


@pytest.mark.parametrize(
    ("given", "unit", "source"),
    [
        (HEADER | SAFETY | USER, "from-header", UnitSource.HEADER),
        (SAFETY | USER, "from-safety", UnitSource.SAFETY_IDENTIFIER),
        (USER, "from-user", UnitSource.USER),
        ({}, None, UnitSource.REQUEST),
    ],
)
async def test_the_unit_of_a_request(
    installation: Installation,
    gateway: RunningGateway,
    provider_url: str,
    given: dict[str, Any],
    unit: str | None,
    source: UnitSource,
) -> None:
    await installation.publish(
        endpoint("only", f"{provider_url}/v1"), route("support", variant("stable", "only"))
    )
    await gateway.knows_routes(1)
    async with gateway.client() as client:
        await client.chat.completions.create(model="support", messages=MESSAGES, **given)
    outcome = await installation.outcome()
    assert outcome.unit_source is source
    assert outcome.unit_hash == unit_hash(outcome.request_id if unit is None else unit)
    ((_, partition),) = await installation.sequences()
    assert partition == outcome_partition(outcome.unit_hash, PARTITIONS)
