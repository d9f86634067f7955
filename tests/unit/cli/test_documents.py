"""`services/cli/files/documents.py`, `definitions.py`: files as definitions, and what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.files import BODIES, MODELS, experiment_bodies, schema
from services.cli.files.definitions import check, concise, differing, same, whole
from services.cli.files.documents import FaultyFiles, parse, read_files
from services.cli.files.kinds import KINDS

VARIANT = "variant: {key: new, endpoints: [openai]}\n"
SCHEMA = Path(__file__).parents[3] / "docs" / "experiment.schema.json"


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def faults(*paths: str) -> list[str]:
    with pytest.raises(FaultyFiles) as caught:
        check(read_files(paths))
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- 1", "f:1:1: document 1: must have one key, which names the kind"),
        (
            "varient: {}",
            "f:1:1: document 1: varient: unknown field; a document is one of team, endpoint, variant",
        ),
        (VARIANT + "metric: {}", "f:1:1: document 1: must define exactly one of"),
        ("start: true", "and defines nothing"),
        ("variant: []", "f:1:1: document 1: variant: must hold the fields of the definition"),
        ("start: true\n" + VARIANT, "f:1:1: document 1: start: only an experiment can be started"),
        ("experiment: {}\nstart: soon", "f:2:1: document 1: start: must be true or false"),
        (VARIANT + "---\nvariant: [", "f:3:11: document 2: is not YAML"),
    ],
)
def test_what_is_no_document(text: str, fault: str) -> None:
    _, wrong = parse("f", text)
    assert fault in str(wrong[0])


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("variant:\n  key: New\n  endpoints: [x]", "2:3: document 1: variant.key: must be of a-z"),
        ("variant:\n  key: new", "1:1: document 1: variant.endpoints: is missing"),
        ("variant:\n  endpoints: [x]", "1:1: document 1: variant.key: is missing"),
        ("experiment: {key: x, route: r, kind: swap}", "1:32: document 1: experiment.kind: must be"),
        (
            "experiment:\n  key: x\n  route: r\n  treatment: t\n  policy:\n    type: threshold\n    margn: 1",
            "7:5: document 1: experiment.policy.margn: unknown field",
        ),
        ("route: {key: 5, stable: x}", "1:9: document 1: route.key: must be a string"),
        ("metric: {key: m}", "1:1: document 1: metric.source: is missing"),
    ],
)
def test_a_fault_of_a_field_is_the_apis_sentence_at_its_place(tmp_path: Path, body: str, fault: str) -> None:
    file = write(tmp_path / "f.yaml", body)
    assert faults(file)[0].startswith(f"{file}:{fault}")


def test_all_faults_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    first = write(tmp_path / "a.yaml", "variant: {key: new}\n---\nroute: {key: chat, stable: x, extra: 1}\n")
    assert len(faults(first)) == 2


def test_directories_are_read_in_order_and_hidden_files_are_not(tmp_path: Path) -> None:
    write(tmp_path / "b" / "x.yml", VARIANT)
    write(
        tmp_path / "a.json", json.dumps({"endpoint": {"key": "e", "kind": "openai", "base_url": "http://x"}})
    )
    write(tmp_path / ".git" / "y.yaml", "nonsense: [")
    write(tmp_path / "notes.txt", "nonsense: [")
    assert [one.name for one in read_files([str(tmp_path)])] == ["endpoint/e", "variant/new"]


def test_what_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in faults(str(tmp_path / "nothing.yaml"))[0]
    assert "has no files that end in" in faults(str(tmp_path))[0]
    (tmp_path / "latin.yaml").write_bytes(b"variant: \xe9")
    assert "is not text in UTF-8" in faults(str(tmp_path))[0]


def test_the_same_thing_twice_is_a_fault(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.yaml", VARIANT), write(tmp_path / "b.yaml", VARIANT)
    assert faults(first, second) == [
        f"{second}:1:11: document 1: variant.key: variant/new is defined in {first}:1 already"
    ]


def test_files_define_what_the_api_has_bodies_for() -> None:
    assert set(KINDS) == set(BODIES)


EXAMPLES = [
    *((kind, model.model_config["json_schema_extra"]["example"]) for kind, model in MODELS.items()),  # type: ignore[index, call-overload]
    *(
        ("experiment", model.model_config["json_schema_extra"]["example"])  # type: ignore[index, call-overload]
        for model in experiment_bodies().values()
    ),
]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_concise_says_the_same_as_whole(kind: str, example: Any) -> None:
    short = concise(kind, example)
    assert whole(kind, short) == whole(kind, example)
    assert not differing(whole(kind, whole(kind, example)), whole(kind, example))
    assert len(short) <= len(whole(kind, example))
    assert next(iter(short)) == "key"


def test_a_guardrail_is_written_with_its_metric() -> None:
    guardrails = [{"margin": 0.05}, {"metric": "latency", "margin": 0.1}]
    expected = [{"metric": "error_rate", "margin": 0.05}, {"metric": "latency", "margin": 0.1}]
    of_test = {"key": "x", "route": "r", "kind": "ab_test", "variants": [], "goals": ["cost"]}
    assert concise("experiment", of_test | {"guardrails": guardrails})["guardrails"] == expected
    policy = {"type": "sequential", "guardrails": guardrails}
    of_canary = {"key": "x", "route": "r", "kind": "canary", "treatment": "t", "policy": policy}
    assert concise("experiment", of_canary)["policy"]["guardrails"] == expected


def test_weights_left_out_are_equal_shares() -> None:
    test = {"key": "t", "route": "r", "kind": "ab_test", "goals": ["cost"]}
    silent = whole("experiment", {**test, "variants": [{"key": "a"}, {"key": "b"}]})
    said = whole(
        "experiment", {**test, "variants": [{"key": "a", "weight": 0.5}, {"key": "b", "weight": 0.5}]}
    )
    assert not differing(silent, said)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, 0.0])
    | st.text("ab", max_size=2),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inside),
    max_leaves=6,
)


@given(JSON, JSON)
def test_same_is_an_equality_that_tells_true_from_one(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(one, other) is same(other, one)
    assert not same([one], {"a": one})
    if same(one, other):
        assert one == other


def test_true_is_not_one_but_one_is_one_point_nought() -> None:
    assert same({"a": [1]}, {"a": [1.0]})
    assert not same({"a": True}, {"a": 1})


def test_the_schema_in_the_docs_is_up_to_date() -> None:
    assert json.loads(SCHEMA.read_text()) == schema(), "headgate schema > docs/experiment.schema.json"
