"""From what was sent to an experiment: every reference is looked up, every rule checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.ab_test_bodies import NewABTest
from services.api.blue_green_bodies import NewBlueGreen
from services.api.canary_bodies import NewCanary
from services.api.shadow_bodies import NewShadow
from services.domain.ab_test import ABTestDefinition, check_ab_test
from services.domain.blue_green import check_blue_green
from services.domain.canary import CanaryDefinition, check_definition
from services.domain.errors import InvalidDefinition, NotFound
from services.domain.experiment import BlueGreenDefinition, Definition, Experiment
from services.domain.metric import BUILT_IN, Metric
from services.domain.shadow import ShadowDefinition, check_shadow
from services.storage import endpoints, metrics, routes, variants
from services.storage.identifiers import new_id
from services.storage.routes import Route

NewBody = NewCanary | NewABTest | NewShadow | NewBlueGreen
"""What may be asked for."""
ALWAYS_MEASURED = (BUILT_IN["satisfaction_rate"],)
"""Summed for every test, named or not: what users report cannot be made up for later."""


async def drafted(connection: AsyncConnection, body: NewBody) -> Experiment:
    """Return the draft that is asked for. Raises InvalidDefinition, naming the field, for what is wrong."""
    route = await _route(connection, body.route)
    definition = await _definition(connection, body, route)
    return Experiment(
        experiment_id=new_id(),
        key=body.key,
        route_key=route.key,
        kind=body.kind,
        status="draft",
        conclusion=None,
        definition=definition,
        control=route.allocation.stable,
        phase=1,
        created_at=datetime.now(UTC),
    )


async def redrafted(connection: AsyncConnection, draft: Experiment, body: NewBody) -> Experiment:
    """Return the draft as it is asked for now. Raises InvalidDefinition as ``drafted`` does."""
    lasting = {
        "key": (body.key, draft.key),
        "route": (body.route, draft.route_key),
        "kind": (body.kind, draft.kind),
    }
    for field, (asked, has) in lasting.items():
        if asked != has:
            problem = f"is {asked!r}, but the draft's is {has!r} and stays; draft another experiment"
            raise InvalidDefinition(field, problem)
    asked_for = await drafted(connection, body)
    return replace(asked_for, experiment_id=draft.experiment_id, created_at=draft.created_at)


async def _route(connection: AsyncConnection, key: str) -> Route:
    try:
        return await routes.get(connection, key)
    except NotFound:
        raise InvalidDefinition("route", f"there is no route {key!r}; create it first") from None


async def _definition(connection: AsyncConnection, body: NewBody, route: Route) -> Definition:
    if isinstance(body, NewCanary):
        return await _canary(connection, body, route)
    if isinstance(body, NewShadow):
        return await _shadow(connection, body, route)
    if isinstance(body, NewBlueGreen):
        return await _blue_green(connection, body, route)
    return await _ab_test(connection, body, route)


async def _canary(connection: AsyncConnection, body: NewCanary, route: Route) -> CanaryDefinition:
    check_definition(body.definition, control=route.allocation.stable)
    await _check_variants(connection, {"treatment": body.treatment})
    return body.definition


async def _blue_green(connection: AsyncConnection, body: NewBlueGreen, route: Route) -> BlueGreenDefinition:
    check_blue_green(body.definition, control=route.allocation.stable)
    await _check_variants(connection, {"treatment": body.treatment})
    return body.definition


async def _shadow(connection: AsyncConnection, body: NewShadow, route: Route) -> ShadowDefinition:
    definition = body.definition
    check_shadow(definition, control=route.allocation.stable)
    await _check_variants(connection, {"treatment": definition.treatment})
    if definition.keep_text and not route.record_content:
        raise InvalidDefinition(
            "keep_text",
            f"route {route.key!r} does not allow prompts and answers to be kept; an admin can change that "
            f"with PUT /v1/routes/{route.key}/recording",
        )
    if definition.cost_limit_per_hour is not None:
        await _check_prices(connection, definition.treatment)
    return definition


async def _check_prices(connection: AsyncConnection, variant_key: str) -> None:
    """Raise InvalidDefinition where it would not be known what the variant's answers cost."""
    variant = await variants.get(connection, variant_key)
    for key in variant.endpoint_keys:
        if (await endpoints.get(connection, key)).prices is None:
            raise InvalidDefinition(
                "cost_limit_per_hour",
                f"needs the prices of endpoint {key!r}; set them with PUT /v1/endpoints/{key}",
            )


async def _ab_test(connection: AsyncConnection, body: NewABTest, route: Route) -> ABTestDefinition:
    definition = body.definition(await _metrics(connection, body))
    check_ab_test(definition, control=route.allocation.stable)
    named = {f"variants[{i}].key": one.key for i, one in enumerate(body.variants)}
    await _check_variants(connection, named)
    return definition


async def _metrics(connection: AsyncConnection, body: NewABTest) -> list[Metric]:
    """Return the definitions of all metrics that the test names, and of those that every test has."""
    named = list(body.named_metrics())
    known = await metrics.by_keys(connection, {key for _, key in named}) | BUILT_IN
    for field, key in named:
        if key not in known:
            raise InvalidDefinition(field, f"there is no metric {key!r}; GET /v1/metrics lists them")
    found = {key: known[key] for _, key in named}
    return list((found | {metric.key: metric for metric in ALWAYS_MEASURED}).values())


async def _check_variants(connection: AsyncConnection, named: dict[str, str]) -> None:
    known = await variants.by_keys(connection, set(named.values()))
    for field, key in named.items():
        if key not in known:
            raise InvalidDefinition(field, f"there is no variant {key!r}; create it first")
