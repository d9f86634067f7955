"""Simulated models: what their names say, and that their luck can be repeated."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from click.testing import CliRunner

from services.cli.main import main
from services.demo.provider_behaviour import Behaviour, Fault, Luck, behaviour_of
from services.demo.provider_models import Models


def test_a_name_carries_the_behaviour() -> None:
    assert behaviour_of("gpt-anything") == Behaviour()
    assert behaviour_of("sim:error_rate=0.3,latency_ms=20") == Behaviour(error_rate=0.3, latency_ms=20.0)
    assert behaviour_of("sim: tokens=3 ").tokens == 3


@pytest.mark.parametrize("name", ["sim:nonsense", "sim:unknown=1", "sim:error_rate=much"])
def test_a_name_that_cannot_be_read(name: str) -> None:
    wrong = name.removeprefix("sim:").partition("=")[0]
    with pytest.raises(ValueError, match=rf"{wrong}.*; the options are error_rate, .*latency_ms.*slow_ms"):
        behaviour_of(name)


def test_the_help_names_every_option_and_fault() -> None:
    told = CliRunner().invoke(main, ["provider", "--help"]).output
    for name in (*Behaviour.__struct_fields__, *Fault):
        assert re.search(rf"\b{name}\b", told), name


def test_rates_are_met() -> None:
    luck = Luck(1, "m")
    behaviour = Behaviour(error_rate=0.3, rate_limit_rate=0.1)
    met = Counter(luck.draw(behaviour).fault for _ in range(20_000))
    assert abs(met[Fault.ERROR] - 6_000) < 5 * (20_000 * 0.3 * 0.7) ** 0.5
    assert abs(met[Fault.RATE_LIMIT] - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5
    assert set(met) == {None, Fault.ERROR, Fault.RATE_LIMIT}


def test_the_same_seed_brings_the_same_luck() -> None:
    behaviour = Behaviour(error_rate=0.5, latency_ms=10)

    def fates(seed: int) -> list[object]:
        luck = Luck(seed, "m")
        return [luck.draw(behaviour) for _ in range(50)]

    assert fates(1) == fates(1) != fates(2)


def test_what_models_did_is_counted() -> None:
    models = Models(1)
    model = models.named("m")
    for fault in (None, Fault.ERROR, Fault.BAD_REQUEST):
        model.meet(fault)
    stats = models.stats()["m"]
    assert (stats.requests, stats.errors) == (3, 1)
    assert stats.faults == {"error": 1, "bad_request": 1}
    assert stats.first_error_at == stats.last_error_at is not None
    models.reset()
    assert models.stats() == {}
