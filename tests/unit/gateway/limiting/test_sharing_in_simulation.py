"""Several replicas in simulated time: the limit is met, never multiplied, whatever the clocks say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.limits import Limits
from services.gateway.limiting.estimates import Cost
from services.gateway.limiting.plans import Plan, Scope
from tests.unit.gateway.limiting.simulation import (
    Delays,
    Replica,
    World,
    all_admitted,
    joined,
    most_in_any_minute,
    offer,
    plan,
    route_limit,
)

SKEWS = ((0.0, 0.0, 0.0), (0.0, 0.13, -0.4), (0.0, 86_400.3, -3_000.7))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("skews", SKEWS)
def test_three_replicas_with_twice_the_limit(seed: int, skews: tuple[float, ...]) -> None:
    world = World(seed)
    replicas = joined(world, 3, skews)
    offer(world, replicas, route_limit(requests_per_minute=6_000), rate=200, seconds=120)
    times = all_admitted(replicas)
    first = [at for at in times if at < times[0] + 60]
    assert 0.98 * 6_000 <= len(first) <= 1.001 * 6_000
    assert most_in_any_minute(times) <= 1.001 * 6_000
    # The second minute is used as well as the first.
    assert len(times) >= 0.98 * 2 * 6_000


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("seed", range(5))
def test_small_limits_are_exact_under_a_burst_everywhere(seed: int, limit: int) -> None:
    world = World(seed)
    replicas = joined(world, 3)
    asked = route_limit(requests_per_minute=limit)
    for _ in range(20):
        for replica in replicas:
            replica.ask(asked)
    world.run(2.0)
    # Some may have been refused for the sake of claims that were refused themselves.
    assert 0.7 * limit <= len(all_admitted(replicas)) <= limit
    for _ in range(4):
        for replica in replicas:
            replica.ask(asked)
            world.run(0.1)
    assert len(all_admitted(replicas)) == limit


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 5),
    limit=st.integers(1, 60),
    rate=st.floats(1, 60),
    slowest=st.floats(0.002, 0.04),
)
@settings(max_examples=25)
def test_no_minute_holds_more_than_the_limit(
    seed: int, count: int, limit: int, rate: float, slowest: float
) -> None:
    world = World(seed, Delays((0.001, slowest), (0.001, slowest)))
    replicas = joined(world, count, tuple(world.random.uniform(-1e4, 1e4) for _ in range(count)))
    offer(world, replicas, route_limit(requests_per_minute=limit), rate, seconds=90)
    most = most_in_any_minute(all_admitted(replicas))
    # Where beats take up to 80 ms there and back, one may slip through.
    assert most <= limit + 1
    offered = sum(len(replica.refused) for replica in replicas) + len(all_admitted(replicas))
    if offered > 2 * limit * 1.5:
        assert most >= min(limit, offered)


@pytest.mark.parametrize("busy", [1, 2])
def test_nothing_is_left_unused_because_another_replica_is_idle(busy: int) -> None:
    world = World(3)
    replicas = joined(world, 3)
    offer(world, replicas[:busy], route_limit(requests_per_minute=600), rate=40, seconds=60)
    assert 0.98 * 600 <= len(all_admitted(replicas)) <= 600


def test_tokens_of_very_different_sizes() -> None:
    world = World(5)
    replicas, scope = joined(world, 3), Scope("key", "k", Limits(tokens_per_minute=30_000))
    used = 0

    def one() -> None:
        nonlocal used
        cost = Cost(world.random.choice((10, 300, 6_000)), 20)
        replica = world.random.choice(replicas)
        before = len(replica.admitted)
        held = replica.ask(plan(scope), cost)
        world.run(0.3)
        if held is not None and len(replica.admitted) > before:
            used += cost.prompt + cost.completion

    for _ in range(180):
        one()
    assert 0.95 * 30_000 <= used <= 1.001 * 30_000


def test_a_replica_that_dies_is_missed_and_what_it_used_is_not_forgotten() -> None:
    world = World(1)
    replicas = joined(world, 3)
    asked = plan(Scope("key", "k", Limits(requests_per_minute=30, concurrency=12)))
    for _ in range(12):
        replicas[0].ask(asked)
        world.run(0.1)
    dead, *alive = replicas
    assert alive[0].ask(asked) is None
    dead.stop()
    world.run(4.0)
    assert [one.ledger.standing.replicas for one in alive] == [2, 2]
    # What it had under way is gone with it, its requests of this minute are not.
    admitted = sum(_admitted(world, alive[number % 2], asked) for number in range(40))
    assert admitted == 12
    for one in alive:
        assert one.ledger.held <= 12


def _admitted(world: World, replica: Replica, asked: Plan) -> bool:
    before = len(replica.admitted)
    replica.ask(asked)
    world.run(0.1)
    return len(replica.admitted) > before


def test_one_that_says_goodbye_is_gone_at_once() -> None:
    world = World(2)
    replicas = joined(world, 3)
    replicas[0].leave()
    world.run(0.2)
    assert [one.ledger.standing.replicas for one in replicas[1:]] == [2, 2]


def test_one_that_comes_late_knows_what_was_used() -> None:
    world = World(4)
    first, asked = joined(world, 1)[0], route_limit(requests_per_minute=10)
    for _ in range(6):
        first.ask(asked)
    world.run(1.0)
    late = world.add(skew=-400.0)
    world.run(1.0)
    for _ in range(10):
        late.ask(asked)
        world.run(0.1)
    assert len(late.admitted) == 4


def test_apart_the_parts_are_the_limit_and_afterwards_all_is_known() -> None:
    world = World(6)
    replicas, asked = joined(world, 3), route_limit(requests_per_minute=31)
    world.log_is_up = False
    world.run(3.0)
    assert [one.ledger.standing.together for one in replicas] == [False] * 3
    for one in replicas:
        for _ in range(20):
            one.ask(asked)
    assert sorted(len(one.admitted) for one in replicas) == [10, 10, 11]
    world.log_is_up = True
    world.run(2.0)
    assert [one.ledger.standing.together for one in replicas] == [True] * 3
    for one in replicas:
        one.ask(asked)
    world.run(1.0)
    assert len(all_admitted(replicas)) == 31


def test_a_long_time_apart_each_has_its_part_of_each_minute() -> None:
    world = World(7)
    replicas, asked = joined(world, 3), route_limit(requests_per_minute=60)
    offer(world, replicas, asked, rate=3, seconds=20)
    world.log_is_up = False
    offer(world, replicas, asked, rate=30, seconds=200)
    times = all_admitted(replicas)
    assert most_in_any_minute(times) <= 60
    last = [at for at in times if at >= world.now - 60]
    assert 0.95 * 60 <= len(last) <= 60


def test_a_claim_that_nobody_decides_is_refused_and_holds_nothing() -> None:
    world = World(8)
    replicas, asked = joined(world, 3), route_limit(requests_per_minute=4)
    world.log_is_up = False
    for one in replicas:
        for _ in range(4):
            one.ask(asked)
    world.run(1.0)
    assert all_admitted(replicas) == []
    assert [(one.ledger.docket.claims, one.ledger.held) for one in replicas] == [([], 0)] * 3
    # They may come back soon, not only when something leaves the window.
    assert {b"retry-after-ms: 250" in refused.fields for one in replicas for refused in one.refused} == {True}
