"""The alert rules: as strict as promtool, and held against the metrics that are really shown."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from typing import Any

import promql_parser
import pytest
import yaml

from tests.unit.monitoring.catalogue import DOCS, known_series
from tests.unit.monitoring.promql import labels_of, problems

ALERTS, TESTS = DOCS / "alerts.yaml", DOCS / "alerts_test.yaml"
FIELDS = {
    "file": {"groups"},
    "group": {"name", "interval", "query_offset", "limit", "labels", "rules"},
    "rule": {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"},
}
ANNOTATIONS = {"summary", "description", "runbook_url"}
SEVERITIES = {"critical", "warning"}
ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
TEMPLATE = re.compile(
    r"(\$labels\.(?P<label>\w+)|\$value|\.)(\s*\|\s*(humanize|humanizeDuration|humanizePercentage))?"
    r"|with \$labels\.(?P<with>\w+)|else|end"
)
PROMTOOL = shutil.which("promtool")


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key may not come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value)
        assert max(keys.values(), default=1) == 1, f"{keys} at {node.start_mark}"
        return super().construct_mapping(node, deep)


FILE: dict[str, Any] = yaml.load(ALERTS.read_text(), StrictLoader)  # noqa: S506 - it is a SafeLoader
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in FILE["groups"] for rule in group["rules"]
}
KNOWN = known_series()


def test_fields_and_names_are_those_of_a_rule_file() -> None:
    assert FILE.keys() <= FIELDS["file"]
    names = [group["name"] for group in FILE["groups"]]
    assert len(set(names)) == len(names)
    for group in FILE["groups"]:
        assert group.keys() <= FIELDS["group"]
        assert all(rule.keys() <= FIELDS["rule"] for rule in group["rules"])
    assert len(RULES) == sum(len(group["rules"]) for group in FILE["groups"]), "an alert is there twice"


def test_the_promised_alerts_are_there() -> None:
    promised = ("RollbackHappened", "LoopStalled", "WorkersLag", "EndpointOpen", "OutcomesMissing")
    assert {f"Headgate{name}" for name in promised} <= RULES.keys()


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_complete(name: str) -> None:
    rule = RULES[name]
    assert re.fullmatch(r"Headgate([A-Z][a-z]+)+", name)
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"].keys() == ANNOTATIONS
    assert rule["annotations"]["runbook_url"] == f"runbooks/{name}.md"
    for duration in (rule.get("for", "1m"), rule.get("keep_firing_for", "1m")):
        assert promql_parser.parse_duration(duration)


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_expression_asks_for_what_is_shown(name: str) -> None:
    assert list(problems(RULES[name]["expr"], KNOWN)) == []


@pytest.mark.parametrize("name", sorted(RULES))
def test_templates_use_labels_that_the_expression_gives(name: str) -> None:
    possible = labels_of(RULES[name]["expr"], KNOWN)
    for text in RULES[name]["annotations"].values():
        for action in ACTION.findall(text):
            found = TEMPLATE.fullmatch(action)
            assert found is not None, action
            label = found["label"] or found["with"]
            assert label is None or label in possible, f"{label} is none of {possible}"


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert {path.stem for path in (DOCS / "runbooks").glob("*.md")} == RULES.keys()


def test_every_alert_is_shown_to_fire_and_to_stay_silent() -> None:
    looks: dict[str, set[bool]] = {}
    for case in yaml.safe_load(TESTS.read_text())["tests"]:
        for look in case["promql_expr_test"]:
            (alert,) = re.findall(r'alertname="(\w+)"', look["expr"])
            looks.setdefault(alert, set()).add(bool(look["exp_samples"]))
    assert looks == {name: {True, False} for name in RULES}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on PATH")
@pytest.mark.parametrize("command", [("check", "rules", ALERTS), ("test", "rules", TESTS)])
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    words = [str(PROMTOOL), *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stdout + done.stderr
