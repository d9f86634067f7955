"""The metrics that services show: their names, and the document that lists them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.monitoring import exhibits
from tests.unit.monitoring.catalogue import DOCUMENT, Metric, catalogue, document

METRICS = [metric for metrics in catalogue().values() for metric in metrics]
PROMTOOL = shutil.which("promtool")
UNBOUNDED = {"unit", "unit_hash", "request_id", "key", "key_id", "key_hash", "user", "path", "url"}
CONFIGURED = {("headgate_budget_spent_ratio", "key")}
"""Not what a caller sends: the id of a key with a budget, or a team's or a route's name."""


def test_the_document_lists_what_is_shown() -> None:
    assert DOCUMENT.read_text() == document(), "python -m tests.unit.monitoring.catalogue writes it anew"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_labels_follow_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"headgate(_[a-z0-9]+)+", metric.name)
    assert metric.help.endswith(".")
    assert metric.kind in ("counter", "gauge", "histogram")
    assert {(metric.name, label) for label in metric.labels if label in UNBOUNDED} <= CONFIGURED
    if metric.kind == "histogram":
        assert metric.name.endswith("_seconds")
    if metric.kind == "gauge":
        assert not metric.name.endswith("_total")


def test_a_name_means_one_thing() -> None:
    kinds: dict[str, set[str]] = {}
    for metric in METRICS:
        kinds.setdefault(metric.name, set()).add(metric.kind)
    assert {name for name, found in kinds.items() if len(found) > 1} == set()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on PATH")
@pytest.mark.parametrize("service", sorted(exhibits.pages()))
def test_promtool_finds_nothing_to_say(service: str) -> None:
    words = [str(PROMTOOL), "check", "metrics"]
    done = subprocess.run(  # noqa: S603 - our own words
        words, input=exhibits.pages()[service], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def value(page: str, sample: str, **labels: str) -> float:
    """The one sample of that name and those labels."""
    (found,) = (
        one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
        if one.name == sample and labels.items() <= one.labels.items()
    )
    return found


def test_a_worker_shows_what_its_flush_wrote() -> None:
    page = exhibits.worker_page()
    assert value(page, "headgate_worker_outcomes_total") == 90
    assert value(page, "headgate_worker_records_total") == 10
    assert value(page, "headgate_worker_duplicates_total") == 4
    assert value(page, "headgate_worker_missing_outcomes_total") == 2
    assert value(page, "headgate_worker_noticed_total", kind="feedback") == 3
    assert value(page, "headgate_worker_flush_duration_seconds_count", kind="counts") == 1


def test_a_worker_shows_how_it_stands() -> None:
    page = exhibits.worker_page()
    assert value(page, "headgate_worker_lag_records", partition="3") == 4
    assert value(page, "headgate_worker_sums_lag_records", partition="3") == 8
    assert value(page, "headgate_worker_lease_age_seconds", experiment="canary") == 3
    assert value(page, "headgate_worker_experiments", kind="canary") == 1
    assert value(page, "headgate_experiment_treatment_ratio", experiment="canary") == 0.05
    assert value(page, "headgate_experiment_rule", rule="hold_for_evidence", stage="ramp") == 1


def test_rollbacks_are_there_before_the_first_one() -> None:
    page = exhibits.routing_page()
    rolled_back = {("chat", "policy"): 5, ("chat", "person"): 0, ("search", "person"): 1}
    for (route, by), n in rolled_back.items():
        assert value(page, "headgate_rollbacks_total", route=route, by=by) == n
    dropped = {"kind": "canary", "action": "rollback", "result": "dropped", "by": "policy"}
    assert value(page, "headgate_decisions_total", **dropped) == 1
    waiting = {"kind": "canary", "action": "advance", "result": "applied", "by": "policy"}
    assert value(page, "headgate_decisions_total", **waiting) == 0
