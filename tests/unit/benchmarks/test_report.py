"""Figures out of samples."""

from __future__ import annotations

import pytest

from benchmarks.gateway.measure import Sample
from benchmarks.gateway.memory import MIB
from benchmarks.gateway.memory import summary as memory_summary
from benchmarks.gateway.report import median_cpu, ratios, spread, summary, table


def costing(*microseconds: float) -> list[Sample]:
    """Return samples of a thousand requests in two seconds each."""
    return [Sample(requests=1_000, seconds=2.0, cpu_seconds=one * 1e-3) for one in microseconds]


def test_a_sample() -> None:
    sample = Sample(requests=1_000, seconds=2.0, cpu_seconds=0.5)
    assert sample.cpu_us == pytest.approx(500)
    assert sample.requests_per_second == 500
    assert sample.cores == 0.25


def test_the_median_round_counts() -> None:
    cpu = median_cpu({"non_streaming": costing(90, 50, 10_000), "streaming": costing(2_000)})
    assert cpu == pytest.approx({"non_streaming": 90, "streaming": 2_000, "streaming_per_chunk": 40})


def test_ratios_are_of_what_both_did() -> None:
    assert ratios({"a": 30.0, "b": 1.0}, {"a": 60.0, "c": 2.0}) == {"a": 0.5}


def test_the_spread() -> None:
    assert spread(costing(90, 100, 130)) == pytest.approx(0.4)


def test_the_summary_names_the_ratios_that_are_promised() -> None:
    figures = summary(
        {
            "headgate": {"non_streaming": costing(50), "streaming": costing(500)},
            "tensorzero": {"non_streaming": costing(125), "streaming": costing(1_000)},
            "envoy": {"non_streaming": costing(25), "streaming": costing(500)},
            "bare-httptools": {"non_streaming": costing(40), "streaming": costing(400)},
        },
        "headgate",
    )
    assert figures["cpu_us"]["headgate"] == {
        "non_streaming": 50,
        "streaming": 500,
        "streaming_per_chunk": 10,
    }
    assert figures["ratio_to_tensorzero"] == 0.4
    assert figures["ratio_to_envoy"] == 2
    assert figures["ratio_to_bare"] == 1.25
    assert figures["ratios"]["tensorzero"]["streaming_per_chunk"] == 0.5
    assert figures["requests_per_second"]["envoy"]["streaming"] == 500
    assert "(0.40 ×)" in table(figures)


def test_a_contender_that_was_not_there_has_no_ratio() -> None:
    figures = summary({"headgate": {"non_streaming": costing(50)}}, "headgate")
    assert "ratio_to_envoy" not in figures
    assert figures["ratios"] == {}


@pytest.mark.parametrize(("end", "flat"), [(101, True), (110, False), (90, True)])
def test_memory_is_flat_unless_it_grows(end: int, flat: bool) -> None:
    figures = memory_summary(80 * MIB, [100 * MIB, 100 * MIB, end * MIB])
    assert figures["flat"] is flat
    assert figures["growth"] == pytest.approx(end / 100 - 1)
    assert figures["rss_mib_at_start"] == 80
