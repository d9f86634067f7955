"""The dashboard: it can be imported, its panels do not overlap, and each asks for what is really shown."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from tests.unit.monitoring.catalogue import DOCS, known_series
from tests.unit.monitoring.promql import problems

DASHBOARD: dict[str, Any] = json.loads((DOCS / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [
    (panel["title"], target["expr"])
    for panel in PANELS
    if panel["type"] != "row"
    for target in panel["targets"]
] + [(one["name"], one["expr"]) for one in DASHBOARD["annotations"]["list"]]
KNOWN = known_series()
GRAFANAS = {"$__rate_interval": "5m", "$__range": "1h", "$route": ".*"}
"""What Grafana puts in place of its variables."""
COLUMNS = 24


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_panel_asks_for_what_is_shown(title: str, query: str) -> None:
    for variable, text in GRAFANAS.items():
        query = query.replace(variable, text)
    assert "$" not in query, title
    assert list(problems(query, KNOWN)) == []


def test_ids_are_unique_and_every_panel_has_a_title_and_the_chosen_source() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"] == chosen
            assert all(target["datasource"] == chosen for target in panel["targets"])
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_panels_fill_the_grid_without_overlapping() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        for place in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert place not in taken, f"{panel['title']} lies on {taken[place]}"
            taken[place] = panel["title"]
    rows = [panel["gridPos"]["y"] for panel in PANELS if panel["type"] == "row"]
    assert rows == sorted(rows)


def test_it_can_be_imported() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["uid"]
    assert "id" not in DASHBOARD, "Grafana gives one"
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    (metric, label) = re.findall(r"label_values\((\w+), (\w+)\)", variables["route"]["definition"])[0]
    assert label in KNOWN[metric]


def test_each_part_of_the_product_has_a_row() -> None:
    rows = " ".join(panel["title"].lower() for panel in PANELS if panel["type"] == "row")
    for part in ("traffic", "latency", "experiments", "loop", "endpoints", "limits", "cost", "control"):
        assert part in rows
