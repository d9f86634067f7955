"""What Prometheus reads: values, labels and names, in both formats, from one report or several."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from services.gateway.exposition import Family, Figures, render

OPENMETRICS = "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5"
ODD = 'say "hi"\\\n'


def figures(process: str, value: int = 3) -> list[Family]:
    collected = Figures({"process": process})
    collected.family("a_total", "counter", "What a \\ and a\nline break become.")
    collected.sample(value, route=ODD)
    collected.single("b", "gauge", "Beside it.", 0.25)
    collected.family("c_seconds", "histogram", "Some.", (0.1, 2))
    collected.histogram([1, 0, 2], 7.5, route="x")
    collected.family("d_total", "counter", "Nothing of it has happened.")
    return collected.families


def test_the_page() -> None:
    content_type, page = render([figures("1")])
    assert content_type.startswith("text/plain; version=0.0.4")
    found = {
        (one.name, frozenset(one.labels.items())): one.value
        for m in parse(page.decode())
        for one in m.samples
    }
    process = ("process", "1")
    bars = frozenset({process, ("route", "x")})
    assert found == {
        ("a_total", frozenset({process, ("route", ODD)})): 3,
        ("b", frozenset({process})): 0.25,
        ("c_seconds_bucket", bars | {("le", "0.1")}): 1,
        ("c_seconds_bucket", bars | {("le", "2.0")}): 1,
        ("c_seconds_bucket", bars | {("le", "+Inf")}): 3,
        ("c_seconds_count", bars): 3,
        ("c_seconds_sum", bars): 7.5,
    }


def test_reports_are_merged_metric_by_metric() -> None:
    _, page = render([figures("1"), figures("2", 4)])
    counter, gauge, histogram = parse(page.decode())
    assert [(one.labels["process"], one.value) for one in counter.samples] == [("1", 3), ("2", 4)]
    assert [one.labels["process"] for one in gauge.samples] == ["1", "2"]
    assert histogram.type == "histogram"


def test_openmetrics_where_it_is_asked_for() -> None:
    content_type, page = render([figures("1")], OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    counter, _, histogram = parse_openmetrics(page.decode())
    assert (counter.name, counter.samples[0].name) == ("a", "a_total")
    assert histogram.samples[0].labels["le"] == "0.1"


@pytest.mark.parametrize(
    "accept", ["*/*", "text/plain; version=one", "application/openmetrics-text; version=x"]
)
def test_other_wishes_get_the_text_format(accept: str) -> None:
    assert render([figures("1")], accept) == render([figures("1")])
