"""What may be asked of an experiment of which kind and status: ``draft → running ⇄ paused → stopped``."""

from __future__ import annotations

from typing import Literal

from services.domain.errors import Conflict
from services.domain.experiment import Experiment, ExperimentKind, ExperimentStatus

Verb = Literal["start", "pause", "resume", "share", "split", "promote", "rollback", "stop"]

ALLOWED_IN: dict[Verb, frozenset[ExperimentStatus]] = {
    "start": frozenset({"draft"}),
    "pause": frozenset({"running"}),
    "resume": frozenset({"paused"}),
    "share": frozenset({"running"}),
    "split": frozenset({"running"}),
    "promote": frozenset({"running", "paused"}),
    "rollback": frozenset({"running", "paused"}),
    "stop": frozenset({"running", "paused"}),
}

NOT_OF_KIND: dict[tuple[Verb, ExperimentKind], str] = {
    ("share", "ab_test"): (
        "an A/B test has weights and a traffic share; change them with /split, which begins a new phase"
    ),
    ("split", "canary"): "a canary has one share, its treatment's; set it with /share",
    ("share", "shadow"): "a shadow serves nobody; draft another one to mirror another share of the requests",
    ("split", "shadow"): "a shadow serves nobody; draft another one to mirror another share of the requests",
    ("promote", "shadow"): (
        "a shadow was seen by nobody, so nothing is known of what its answers would do to people; "
        "start a canary of the same variant"
    ),
    ("rollback", "shadow"): "a shadow serves nobody, so there is nothing to take back; /stop ends it",
}
"""Verbs that mean nothing for a kind, and what to do instead. Every other verb is for every kind."""

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
        return
    raise Conflict(
        f"cannot {verb} {experiment.key!r}: it is {_present(experiment)}; {_advice(verb, experiment)}"
    )


def _present(experiment: Experiment) -> str:
    article = "a draft" if experiment.status == "draft" else experiment.status
    return f"{article} ({experiment.conclusion})" if experiment.conclusion else article


def _advice(verb: Verb, experiment: Experiment) -> str:
    if verb == "resume" and experiment.status == "running":
        return "it is not paused"
    return _NEXT.get(experiment.status, "a stopped experiment is final, create another one")
