"""The published state, put together from the tables, and the versions that order it.

A version is taken while nobody else can publish the same thing: under the lock of the route's row, of the
endpoint's, or of the credential's. Changing a variant excludes all route changes for its short transaction,
since any route may be about to use it.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.configuration import (
    Config,
    ConfigVersion,
    EndpointConfig,
    ExperimentConfig,
    InstallationConfig,
    RouteConfig,
)
from services.domain.experiment import Experiment
from services.storage import credentials, endpoints, experiments, routes, variants
from services.storage.installation import Installation
from services.storage.tables import config_version

_DEFINITIONS = 0x48656164_44454653
"""The advisory lock between changes of variants and changes of routes: "HeadDEFS"."""

# pg_control_checkpoint() would name the old timeline until the first checkpoint after a failover.
_TIMELINE = sa.text("SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int")


async def next_version(connection: AsyncConnection) -> ConfigVersion:
    """Return a version above all that were given out, by this database or the one it took over from."""
    timeline = await connection.scalar(_TIMELINE)
    counter = await connection.scalar(sa.select(config_version.next_value()))
    return int(timeline or 0), int(counter or 0)


async def hold_variants(connection: AsyncConnection) -> None:
    """Keep variants as they are until the transaction ends. Call it first, before locking a route."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_DEFINITIONS)))


async def hold_routes(connection: AsyncConnection) -> None:
    """Keep all routes' traffic as it is until the transaction ends, in order to change a variant."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_DEFINITIONS)))


async def route_config(connection: AsyncConnection, route_key: str) -> RouteConfig:
    """Return the state of a route as gateways need it, with a new version."""
    route = await routes.get(connection, route_key)
    allocation = route.allocation
    served = {key for key in (allocation.stable, allocation.treatment) if key is not None}
    experiment = None
    if allocation.experiment_id is not None:
        experiment = await experiments.by_id(connection, allocation.experiment_id)
    return RouteConfig(
        version=await next_version(connection),
        key=route.key,
        stable=allocation.stable,
        variants=await variants.by_keys(connection, served),
        allocation_version=allocation.version,
        unit_fallback=route.unit_fallback,
        experiment=None if experiment is None else _experiment_config(experiment, route),
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
        *[
            one.config(await next_version(connection))
            for one in await credentials.listing(connection, lock=True)
        ],
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
        treatment=experiment.canary.treatment,
        treatment_share_bp=route.allocation.treatment_share_bp,
        on_blind=experiment.canary.on_blind,
        lease_limit_seconds=experiment.canary.lease_limit_seconds,
    )
