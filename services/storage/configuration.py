"""The published state, put together from the tables, and the versions that order it.

A version is taken while nobody else can publish the same thing: under the lock of the row of the route, the
endpoint, the team or the credential. Changing a variant excludes all route changes for its short transaction,
since any route may be about to use it.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.allocation import ShadowSplit, TestSplit
from services.domain.configuration import (
    Config,
    ConfigVersion,
    EndpointConfig,
    ExperimentConfig,
    InstallationConfig,
    RouteConfig,
    ShadowConfig,
    TestConfig,
)
from services.domain.experiment import Experiment
from services.storage import credentials, endpoints, experiments, routes, teams, variants
from services.storage.installation import Installation
from services.storage.tables import config_version

_DEFINITIONS = 0x48656164_44454653
"""The advisory lock between changes of variants and changes of routes: "HeadDEFS"."""

# pg_control_checkpoint() would name the old timeline until the first checkpoint after a failover.
_TIMELINE: sa.ColumnElement[int] = sa.literal_column(
    "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"
)


async def next_version(connection: AsyncConnection) -> ConfigVersion:
    """Return a version above all that were given out, by this database or the one it took over from."""
    timeline, counter = (await connection.execute(sa.select(_TIMELINE, config_version.next_value()))).one()
    return int(timeline), int(counter)


async def hold_variants(connection: AsyncConnection) -> None:
    """Keep variants as they are until the transaction ends. Call it first, before locking a route."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_DEFINITIONS)))


async def hold_routes(connection: AsyncConnection) -> None:
    """Keep all routes' traffic as it is until the transaction ends, in order to change a variant."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_DEFINITIONS)))


async def route_config(connection: AsyncConnection, route_key: str) -> RouteConfig:
    """Return the state of a route as gateways need it, with a new version."""
    return await config_of(connection, await routes.get(connection, route_key))


async def config_of(connection: AsyncConnection, route: routes.Route) -> RouteConfig:
    """Return the state of a route that the caller holds, with a new version."""
    allocation = route.allocation
    split, mirrored = allocation.test, allocation.shadow
    parts = (allocation, split, mirrored)
    taking_part = {part.experiment_id for part in parts if part is not None}
    known = await experiments.by_ids(connection, [one for one in taking_part if one is not None])
    canary = known.get(allocation.experiment_id) if allocation.experiment_id else None
    test = known.get(split.experiment_id) if split else None
    shadow = known.get(mirrored.experiment_id) if mirrored else None
    return RouteConfig(
        version=await next_version(connection),
        key=route.key,
        stable=allocation.stable,
        variants=await variants.by_keys(connection, allocation.variant_keys),
        allocation_version=allocation.version,
        unit_fallback=route.unit_fallback,
        experiment=None if canary is None else _experiment_config(canary, route),
        test=None if test is None or split is None else _test_config(test, split),
        shadow=None if shadow is None or mirrored is None else _shadow_config(shadow, mirrored, route),
        limits=route.limits,
        unit_limits=route.unit_limits,
        record_content=route.record_content,
    )


async def installation_config(connection: AsyncConnection, installation: Installation) -> InstallationConfig:
    """Return what was fixed at the beginning, with a new version."""
    return InstallationConfig(
        version=await next_version(connection),
        installation_id=installation.installation_id,
        outcome_partitions=installation.outcome_partitions,
    )


async def everything(connection: AsyncConnection) -> list[Config]:
    """Return all definitions with new versions, for a ``config.v1`` that may have lost some.

    The caller has called ``hold_routes``.
    """
    return [
        *[await _renewed_endpoint(connection, one.key) for one in await endpoints.listing(connection)],
        *[await route_config(connection, one.key) for one in await routes.listing(connection)],
        *[one.config(await next_version(connection)) for one in await teams.listing(connection)],
        *[one.config(await next_version(connection)) for one in await credentials.clients(connection)],
    ]


async def _renewed_endpoint(connection: AsyncConnection, key: str) -> EndpointConfig:
    endpoint = await endpoints.get(connection, key, lock=True)
    renewed = msgspec.structs.replace(endpoint, version=await next_version(connection))
    await endpoints.update(connection, renewed)
    return renewed


def _experiment_config(experiment: Experiment, route: routes.Route) -> ExperimentConfig:
    return ExperimentConfig(
        experiment_id=experiment.experiment_id,
        key=experiment.key,
        phase=experiment.phase,
        salt=experiment.salt,
        control=experiment.control,
        treatment=experiment.judged_as.treatment,
        treatment_share_bp=route.allocation.treatment_share_bp,
        # A promoted variant is not taken away because nobody measures.
        on_blind="hold" if experiment.stage == "watch" else experiment.judged_as.on_blind,
        lease_limit_seconds=experiment.judged_as.lease_limit_seconds,
    )


def _test_config(experiment: Experiment, split: TestSplit) -> TestConfig:
    definition = experiment.ab_test
    return TestConfig(
        experiment_id=experiment.experiment_id,
        key=experiment.key,
        phase=experiment.phase,
        salt=experiment.salt,
        traffic_bp=split.traffic_bp,
        variants=split.variants,
        weights_bp=split.weights_bp,
        segments=definition.segments,
        covariate_header=definition.covariate_header,
        on_blind=definition.on_blind,
        lease_limit_seconds=definition.lease_limit_seconds,
    )


def _shadow_config(experiment: Experiment, split: ShadowSplit, route: routes.Route) -> ShadowConfig:
    definition = experiment.shadow
    started_at = experiment.started_at or experiment.created_at
    return ShadowConfig(
        experiment_id=experiment.experiment_id,
        key=experiment.key,
        phase=experiment.phase,
        salt=experiment.salt,
        variant=split.variant,
        sample_bp=split.sample_bp,
        max_concurrency=definition.max_concurrency,
        queue_limit=definition.queue_limit,
        timeout_seconds=definition.timeout_seconds,
        ends_at=started_at.timestamp() + definition.planned_duration_minutes * 60,
        cost_limit_per_hour_nanos=definition.cost_limit_nanos,
        keep_text=definition.keep_text and route.record_content,
        text_days=definition.text_days,
        ignore_paths=definition.ignore_paths,
    )
