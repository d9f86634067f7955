"""What may be asked of an experiment in which status: ``draft → running ⇄ paused → stopped``."""

from __future__ import annotations

from typing import Literal

from services.domain.errors import Conflict
from services.domain.experiment import Experiment, ExperimentStatus

Verb = Literal["start", "pause", "resume", "share", "promote", "rollback", "stop"]

ALLOWED_IN: dict[Verb, frozenset[ExperimentStatus]] = {
    "start": frozenset({"draft"}),
    "pause": frozenset({"running"}),
    "resume": frozenset({"paused"}),
    "share": frozenset({"running"}),
    "promote": frozenset({"running", "paused"}),
    "rollback": frozenset({"running", "paused"}),
    "stop": frozenset({"running", "paused"}),
}

_NEXT: dict[ExperimentStatus, str] = {
    "draft": "start it first",
    "running": "it has been started already",
    "paused": "resume it first",
}


def check_verb(verb: Verb, experiment: Experiment) -> None:
    """Raise Conflict, saying what to do next, where the experiment's status does not allow the verb."""
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
