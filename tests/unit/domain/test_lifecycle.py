"""Which verb is allowed in which status."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.domain.canary import CanaryDefinition
from services.domain.errors import Conflict
from services.domain.experiment import Conclusion, Experiment, ExperimentKind, ExperimentStatus
from services.domain.lifecycle import Verb, check_verb


def experiment(status: ExperimentStatus, conclusion: Conclusion | None = None) -> Experiment:
    return Experiment(
        experiment_id=UUID(int=1),
        key="canary",
        route_key="chat",
        kind="canary",
        status=status,
        conclusion=conclusion,
        definition=CanaryDefinition(treatment="new"),
        control="old",
        phase=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("verb", "status", "sentence"),
    [
        ("pause", "draft", "cannot pause 'canary': it is a draft; start it first"),
        ("start", "running", "cannot start 'canary': it is running; it has been started already"),
        ("resume", "running", "cannot resume 'canary': it is running; it is not paused"),
        ("share", "paused", "cannot share 'canary': it is paused; resume it first"),
        ("start", "paused", "cannot start 'canary': it is paused; resume it first"),
        ("pause", "paused", "cannot pause 'canary': it is paused; resume it first"),
    ],
)
def test_a_refusal_says_what_to_do(verb: Verb, status: ExperimentStatus, sentence: str) -> None:
    with pytest.raises(Conflict) as caught:
        check_verb(verb, experiment(status))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("verb", "kind", "instead"),
    [("share", "ab_test", "change them with /split"), ("split", "canary", "set it with /share")],
)
@pytest.mark.parametrize("status", ["draft", "running", "stopped"])
def test_a_verb_of_another_kind_says_what_to_do_instead(
    verb: Verb, kind: ExperimentKind, instead: str, status: ExperimentStatus
) -> None:
    with pytest.raises(Conflict, match=instead):
        check_verb(verb, replace(experiment(status), kind=kind))


def test_stopped_is_final() -> None:
    with pytest.raises(Conflict, match=r"it is stopped \(rolled_back\); a stopped experiment is final"):
        check_verb("start", experiment("stopped", "rolled_back"))


@pytest.mark.parametrize("verb", ["promote", "rollback", "stop"])
@pytest.mark.parametrize("status", ["running", "paused"])
def test_an_end_is_possible_while_paused_too(verb: Verb, status: ExperimentStatus) -> None:
    check_verb(verb, experiment(status))
