"""What may be asked of an experiment: by its kind, its stage, and ``draft → running ⇄ paused → stopped``."""

from __future__ import annotations

from typing import Literal

from services.domain.errors import Conflict
from services.domain.experiment import Experiment, ExperimentKind, ExperimentStatus, Stage

Verb = Literal[
    "start",
    "pause",
    "resume",
    "share",
    "split",
    "approve",
    "health",
    "switch",
    "promote",
    "rollback",
    "stop",
]

ALLOWED_IN: dict[Verb, frozenset[ExperimentStatus]] = {
    "start": frozenset({"draft"}),
    "pause": frozenset({"running"}),
    "resume": frozenset({"paused"}),
    "share": frozenset({"running"}),
    "split": frozenset({"running"}),
    "approve": frozenset({"running"}),
    "health": frozenset({"running"}),
    "switch": frozenset({"running"}),
    "promote": frozenset({"running", "paused"}),
    "rollback": frozenset({"running", "paused"}),
    "stop": frozenset({"running", "paused"}),
}

_DEPLOYED_AT_ONCE = "a blue-green deployment serves nobody or everybody; /switch is its only step"

NOT_OF_KIND: dict[tuple[Verb, ExperimentKind], str] = {
    ("share", "ab_test"): (
        "an A/B test has weights and a traffic share; change them with /split, which begins a new phase"
    ),
    ("split", "canary"): "a canary has one share, its treatment's; set it with /share",
    ("share", "shadow"): "a shadow serves nobody; draft another one to mirror another share of the requests",
    ("split", "shadow"): "a shadow serves nobody; draft another one to mirror another share of the requests",
    ("approve", "ab_test"): "an A/B test has no steps to agree to; /promote names the treatment that wins",
    ("approve", "shadow"): "a shadow has no steps to agree to",
    ("pause", "blue_green"): "a blue-green deployment has nothing to pause; /rollback takes it back",
    ("resume", "blue_green"): "a blue-green deployment is never paused; /switch sends the traffic to it",
    ("share", "blue_green"): _DEPLOYED_AT_ONCE,
    ("split", "blue_green"): _DEPLOYED_AT_ONCE,
    ("approve", "blue_green"): _DEPLOYED_AT_ONCE,
    ("health", "canary"): "a canary is judged on live traffic; health checks are for blue-green deployments",
    (
        "health",
        "ab_test",
    ): "an A/B test is judged on live traffic; health checks are for blue-green deployments",
    ("health", "shadow"): "a shadow is judged on copies; GET /comparisons shows what it answers",
    ("switch", "canary"): "a canary goes up in steps; /promote gives it everything",
    ("switch", "ab_test"): "an A/B test has no slots; /promote names the treatment that wins",
    ("switch", "shadow"): "a shadow serves nobody; draft a blue-green deployment of the same variant",
    ("promote", "shadow"): (
        "a shadow was seen by nobody, so nothing is known of what its answers would do to people; "
        "start a canary of the same variant"
    ),
    ("rollback", "shadow"): "a shadow serves nobody, so there is nothing to take back; /stop ends it",
}
"""Verbs that mean nothing for a kind, and what to do instead. Every other verb is for every kind."""

_ENDS_THE_WATCH = "/promote ends the watch for good, /rollback gives everything back to the control"
NOT_IN_STAGE: dict[tuple[Verb, Stage], str] = {
    (verb, "watch"): f"it is promoted and being watched; {_ENDS_THE_WATCH}"
    for verb in ("pause", "share", "approve", "switch", "stop")
} | {("promote", "deployed"): "nobody was sent to it yet; /switch does that, and begins the watch"}
"""Verbs that mean nothing at a stage, and what to do instead."""

_NEXT: dict[ExperimentStatus, str] = {
    "draft": "start it first",
    "running": "it has been started already",
    "paused": "resume it first",
}


def check_verb(verb: Verb, experiment: Experiment) -> None:
    """Raise Conflict, saying what to do, where the experiment's kind or status does not allow the verb."""
    instead = NOT_OF_KIND.get((verb, experiment.kind))
    if instead is not None:
        raise Conflict(f"cannot {verb} {experiment.key!r}: {instead}")
    if experiment.status in ALLOWED_IN[verb]:
        _check_stage(verb, experiment)
        return
    raise Conflict(
        f"cannot {verb} {experiment.key!r}: it is {_present(experiment)}; {_advice(verb, experiment)}"
    )


def check_draft(what: str, experiment: Experiment) -> None:
    """Raise Conflict where the experiment was started: its evidence is about the definition it has."""
    if experiment.status != "draft":
        raise Conflict(
            f"cannot {what} {experiment.key!r}: it is {_present(experiment)}, and keeps the definition that "
            "its evidence is about; draft another experiment under a key of its own"
        )


def _check_stage(verb: Verb, experiment: Experiment) -> None:
    instead = NOT_IN_STAGE.get((verb, experiment.stage))
    if instead is not None:
        raise Conflict(f"cannot {verb} {experiment.key!r}: {instead}")


def _present(experiment: Experiment) -> str:
    article = "a draft" if experiment.status == "draft" else experiment.status
    return f"{article} ({experiment.conclusion})" if experiment.conclusion else article


def _advice(verb: Verb, experiment: Experiment) -> str:
    if verb == "resume" and experiment.status == "running":
        return "it is not paused"
    return _NEXT.get(experiment.status, "a stopped experiment is final, create another one")
