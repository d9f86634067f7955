"""The configuration store: versions, the end of the first read, and the snapshot."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from services.domain.configuration import (
    Config,
    CredentialConfig,
    InstallationConfig,
    LeaseConfig,
    RouteConfig,
    VariantConfig,
    config_key,
)
from services.gateway import snapshot as keeping
from services.gateway.config import ConfigStore
from services.gateway.snapshot import keep_snapshot, load_snapshot, save_snapshot
from services.messaging.codec import encode_event


def installation(number: int = 1) -> InstallationConfig:
    return InstallationConfig(version=(1, 1), installation_id=UUID(int=number), outcome_partitions=4)


def route(key: str, version: tuple[int, int], stable: str = "v") -> RouteConfig:
    variants = {stable: VariantConfig(key=stable, endpoint_keys=())}
    return RouteConfig(version=version, key=key, stable=stable, variants=variants, allocation_version=1)


def record(state: Config) -> Any:
    return raw(config_key(state), encode_event(state))


def raw(key: str, value: bytes | None) -> Any:
    return SimpleNamespace(key=key.encode(), value=value, offset=0)


def read(store: ConfigStore, *states: Config) -> None:
    store.begin()
    store.records([record(state) for state in states])
    store.caught_up()


def test_a_newer_version_wins_whatever_the_order() -> None:
    store = ConfigStore()
    read(store, installation(), route("r", (1, 5), "five"), route("r", (1, 4), "four"))
    assert store.view.routes["r"].config.stable == "five"
    store.records([record(route("r", (2, 1), "after a failover"))])
    assert store.view.routes["r"].config.stable == "after a failover"


def test_nothing_is_served_before_the_first_read_is_complete() -> None:
    store = ConfigStore()
    store.begin()
    store.records([record(installation()), record(route("r", (1, 1)))])
    assert not store.ready
    assert store.view.routes == {}
    store.caught_up()
    assert store.ready
    assert store.source == "kafka"


def test_what_the_topic_no_longer_has_is_forgotten_at_the_end_of_the_first_read() -> None:
    store = ConfigStore()
    store.restore([installation(), route("kept", (1, 1)), route("gone", (1, 1))])
    store.begin()
    store.records([record(installation()), record(route("kept", (1, 1)))])
    assert set(store.view.routes) == {"kept", "gone"}
    store.caught_up()
    assert set(store.view.routes) == {"kept"}


def test_a_snapshot_that_is_newer_than_the_topic_keeps_its_version() -> None:
    store = ConfigStore()
    store.restore([installation(), route("r", (1, 9), "nine")])
    read(store, installation(), route("r", (1, 8), "eight"))
    assert store.view.routes["r"].config.stable == "nine"


def test_the_snapshot_of_another_installation_counts_for_nothing() -> None:
    store = ConfigStore()
    store.restore([installation(1), route("r", (9, 9), "old"), route("other", (1, 1))])
    read(store, installation(2), route("r", (1, 1), "new"))
    assert {key: served.config.stable for key, served in store.view.routes.items()} == {"r": "new"}


def test_an_emptied_topic_is_no_configuration() -> None:
    store = ConfigStore()
    store.restore([installation(), route("r", (1, 1))])
    read(store)
    assert set(store.view.routes) == {"r"}


def test_an_empty_value_forgets() -> None:
    store = ConfigStore()
    experiment_id = UUID(int=5)
    lease = LeaseConfig(version=(0, 1), experiment_id=experiment_id, measured_at=1.0)
    key = CredentialConfig(version=(1, 1), key_hash="h", key_id="k", label="l")
    read(store, installation(), route("r", (1, 5)), lease, key)
    store.records([raw(config_key(state), None) for state in (lease, key, route("r", (1, 1)))])
    store.records([raw("route/never-there", None)])
    assert (store.view.routes, store.view.measured_at, store.view.credentials) == ({}, {}, {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("route/r", b"not json"),
        ("future/x", b'{"type": "future", "version": [1, 1]}'),
        ("route/other", encode_event(route("r", (1, 9)))),
    ],
)
def test_what_is_not_understood_is_passed_over(key: str, value: bytes) -> None:
    store = ConfigStore()
    read(store, installation(), route("r", (1, 1)))
    store.records([raw(key, value)])
    assert store.view.routes["r"].config.version == (1, 1)


def test_the_installation_is_told_before_anything_is_served_and_again_only_if_it_is_another() -> None:
    told: list[int] = []
    store = ConfigStore(on_installation=lambda found: told.append(found.outcome_partitions))
    read(store, route("r", (1, 1)))
    assert not store.ready
    assert told == []
    read(store, installation())
    read(store, installation())
    assert told == [4]
    read(store, installation(2))
    assert told == [4, 4]


def lease(measured_at: float) -> LeaseConfig:
    version = (0, int(measured_at))
    return LeaseConfig(version=version, experiment_id=UUID(int=7), measured_at=measured_at)


def test_a_renewed_lease_counts_at_once_and_is_no_change_of_the_configuration() -> None:
    store = ConfigStore()
    read(store, installation(), route("r", (1, 1)))
    store.changed.clear()
    store.records([record(lease(5.0))])
    assert store.view.measured_at == {UUID(int=7): 5.0}
    assert (store.changed.is_set(), store.renewed) == (False, True)
    store.records([record(lease(6.0)), record(route("r", (1, 2)))])
    assert store.changed.is_set()


async def test_renewed_leases_alone_are_written_too_only_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LEASES_SECONDS", 0.01)
    monkeypatch.setattr(keeping, "PAUSE_SECONDS", 0.01)
    store, path = ConfigStore(), tmp_path / "config.json"
    read(store, installation())
    keeper = asyncio.create_task(keep_snapshot(path, store))
    try:
        async with asyncio.timeout(10.0):
            while not load_snapshot(path):
                await asyncio.sleep(0.005)
            store.records([record(lease(5.0))])
            while lease(5.0) not in load_snapshot(path):
                await asyncio.sleep(0.005)
    finally:
        keeper.cancel()


def test_routes_share_the_variants_they_have_in_common_until_one_changes() -> None:
    store = ConfigStore()
    read(store, installation(), *(route(key, (1, 1), "common") for key in ("a", "b")))
    routes = store.view.routes
    assert routes["a"].config.variants["common"] is routes["b"].config.variants["common"]
    assert routes["a"].overrides["common"] is routes["b"].overrides["common"]
    changed = VariantConfig(key="common", endpoint_keys=("e",), model="m", parameters={"seed": 2**70})
    store.records(
        [
            record(
                RouteConfig(
                    version=(1, 2),
                    key="b",
                    stable="common",
                    variants={"common": changed},
                    allocation_version=2,
                )
            )
        ]
    )
    assert routes["b"].config.variants["common"] == changed
    assert routes["a"].config.variants["common"].model is None


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state" / "config.json"
    states: list[Config] = [installation(), route("r", (3, 4))]
    assert load_snapshot(path) == []
    save_snapshot(path, states)
    assert load_snapshot(path) == states
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"{")
    assert load_snapshot(path) == []
