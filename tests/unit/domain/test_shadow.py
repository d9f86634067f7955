"""Shadows: what is checked, their part of an allocation, and which verbs they refuse."""

import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.domain.allocation import Allocation, Change, ShadowSplit, apply_change
from services.domain.errors import Conflict, InvalidDefinition
from services.domain.experiment import Experiment
from services.domain.lifecycle import Verb, check_verb
from services.domain.shadow import ShadowDefinition, check_shadow

DEFINITION = ShadowDefinition(treatment="next")
SPLIT = ShadowSplit(uuid.uuid4(), "next", 2_500)


def test_the_defaults_are_right() -> None:
    check_shadow(DEFINITION, control="now")
    assert (DEFINITION.sample_bp, DEFINITION.cost_limit_nanos) == (1_000, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("treatment", "now"),
        ("sample_share", 0.0),
        ("sample_share", 1.1),
        ("sample_share", 0.00001),
        ("sample_share", float("nan")),
        ("max_concurrency", 0),
        ("queue_limit", -1),
        ("timeout_seconds", 0.0),
        ("cost_limit_per_hour", 0.0),
        ("text_days", 8),
        ("similarity_threshold", 1.5),
        ("planned_duration_minutes", 0),
        ("ignore_paths", ("",)),
        ("ignore_paths", ("/ok", "id")),
        ("ignore_paths", ("/~2",)),
        ("ignore_paths", ("/a",) * 51),
    ],
)
def test_what_is_refused(field: str, value: Any) -> None:
    broken = msgspec.structs.replace(DEFINITION, **{field: value})
    with pytest.raises(InvalidDefinition) as refused:
        check_shadow(broken, control="now")
    assert refused.value.field.startswith(field)


def test_kept_texts_need_an_end() -> None:
    check_shadow(msgspec.structs.replace(DEFINITION, keep_text=True, text_days=90), control="now")
    with pytest.raises(InvalidDefinition, match="text_days"):
        check_shadow(msgspec.structs.replace(DEFINITION, keep_text=True, text_days=91), control="now")


def test_a_shadow_serves_nobody() -> None:
    allocation = Allocation("chat", 3, "now").with_shadow(SPLIT)
    assert allocation.version == 4
    assert allocation.weights == {"now": 1.0}
    assert allocation.variant_keys == {"now", "next"}
    assert allocation.without_shadow() == Allocation("chat", 5, "now")


def test_a_shadow_outlives_the_canary_beside_it() -> None:
    canary = uuid.uuid4()
    running = Allocation("chat", 1, "now").with_shadow(SPLIT).with_experiment(canary, "other", 500)
    promoted = apply_change(running, Change("promote", canary, running.version))
    assert (promoted.stable, promoted.shadow) == ("other", SPLIT)
    rolled_back = apply_change(running, Change("rollback", canary, 1))
    assert (rolled_back.stable, rolled_back.shadow) == ("now", SPLIT)


@pytest.mark.parametrize("verb", ["promote", "rollback", "share", "split"])
def test_verbs_that_mean_nothing(verb: Verb) -> None:
    experiment = Experiment(
        uuid.uuid4(), "s", "chat", "shadow", "running", None, DEFINITION, "now", 1, datetime.now(UTC)
    )
    with pytest.raises(Conflict, match="a shadow"):
        check_verb(verb, experiment)
    check_verb("pause", experiment)
    check_verb("stop", experiment)
