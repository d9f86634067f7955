"""The life of each kind of experiment as tables: every state, the way to it, and what each verb does there.

A verb that a state's row does not name is refused with the row's ``otherwise``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.integration.api.conftest import AB_TEST


@dataclass(frozen=True)
class Done:
    """Where the experiment stands after a verb. ``share`` is of the first treatment, of the route's units."""

    status: str
    share: float
    stage: str = "ramp"
    conclusion: str | None = None
    phase: int = 1


@dataclass(frozen=True)
class Refused:
    """What the reason says, among other things: what to do instead."""

    advice: str


@dataclass(frozen=True)
class State:
    """A state: the verbs that lead to it, and what comes of each verb in it.

    ``share`` is the treatment's there; ``body`` is what its definition says besides.
    """

    way: tuple[str, ...]
    verbs: Mapping[str, Done | Refused]
    otherwise: Refused
    share: float = 0.0
    body: Mapping[str, Any] = field(default_factory=dict)

    def of(self, verb: str) -> Done | Refused:
        """What comes of a verb."""
        return self.verbs.get(verb, self.otherwise)


BODIES: Mapping[str, Mapping[str, Any]] = {"share": {"share": 0.2}, "split": {"traffic_share": 0.8}}
"""What is sent with a verb; nothing with any other."""


def stopped(conclusion: str, share: float = 0.0, *, stage: str = "ramp", phase: int = 1) -> Done:
    return Done("stopped", share, stage, conclusion, phase)


ROLLED_BACK = stopped("rolled_back")
STOPPED = stopped("inconclusive")
PROMOTED = stopped("promoted", 1.0)
FINAL = Refused("a stopped experiment is final, create another one")
START_FIRST = Refused("start it first")
STARTED = Refused("it has been started already")

# --- canaries --------------------------------------------------------------------------------------------

CANARY = {
    "kind": "canary",
    "treatment": "new",
    "plan": {"steps": [0.05, 0.25, 0.5], "approve_before": [2, "promote"], "holdback_share": 0.1},
}
WATCHED = Done("running", 0.9, "watch", phase=2)
CANARY_ONLY: Mapping[str, Refused] = {
    "split": Refused("set it with /share"),
    "health": Refused("health checks are for blue-green deployments"),
    "switch": Refused("/promote gives it everything"),
}
NOTHING_TO_APPROVE = Refused("nobody's approval")


def ramp(*way: str, share: float, approve: Done | Refused, **more: Any) -> State:
    verbs: dict[str, Done | Refused] = {
        "pause": Done("paused", 0.0),
        "resume": Refused("it is not paused"),
        "share": Done("running", 0.2),
        "approve": approve,
        "promote": WATCHED,
        "rollback": ROLLED_BACK,
        "stop": STOPPED,
    }
    return State(("start", *way), {**CANARY_ONLY, **verbs}, STARTED, share, **more)


def after_the_canary(*way: str, share: float = 0.0) -> State:
    return State(("start", *way), CANARY_ONLY, FINAL, share)


WATCH_ENDS = Refused("/promote ends the watch for good, /rollback gives everything back to the control")

CANARIES: Mapping[str, State] = {
    "draft": State((), {**CANARY_ONLY, "start": Done("running", 0.05)}, START_FIRST),
    "first step": ramp(share=0.05, approve=NOTHING_TO_APPROVE),
    "waiting for approval of a step": ramp("advance 1 0.25", share=0.25, approve=Done("running", 0.25)),
    "approved": ramp("advance 1 0.25", "approve", share=0.25, approve=Done("running", 0.25)),
    "waiting for approval of the promotion": ramp(
        "advance 1 0.25", "advance 2 0.5", share=0.5, approve=Done("running", 0.5)
    ),
    "share raised by hand": ramp("share", share=0.2, approve=NOTHING_TO_APPROVE),
    "resumed": ramp("pause", "resume", share=0.05, approve=NOTHING_TO_APPROVE),
    "route frozen": ramp("freeze route", share=0.05, approve=NOTHING_TO_APPROVE),
    "everything frozen": ramp("freeze everything", share=0.05, approve=NOTHING_TO_APPROVE),
    "observed": ramp(share=0.05, approve=NOTHING_TO_APPROVE, body={"mode": "observe"}),
    "paused": State(
        ("start", "pause"),
        {
            **CANARY_ONLY,
            "start": Refused("resume it first"),
            "resume": Done("running", 0.05),
            "promote": WATCHED,
            "rollback": ROLLED_BACK,
            "stop": STOPPED,
        },
        Refused("resume it first"),
    ),
    "watch": State(
        ("start", "promote"),
        {
            **CANARY_ONLY,
            "start": STARTED,
            "resume": Refused("it is not paused"),
            "promote": stopped("promoted", 1.0, stage="watch", phase=2),
            "rollback": stopped("rolled_back", stage="watch", phase=2),
        },
        WATCH_ENDS,
        share=0.9,
    ),
    "watch of a frozen route": State(
        ("start", "promote", "freeze route"),
        {
            **CANARY_ONLY,
            "start": STARTED,
            "resume": Refused("it is not paused"),
            "promote": stopped("promoted", 1.0, stage="watch", phase=2),
            "rollback": stopped("rolled_back", stage="watch", phase=2),
        },
        WATCH_ENDS,
        share=0.9,
    ),
    "without a holdback": State(
        ("start",),
        {
            **ramp(share=0.05, approve=NOTHING_TO_APPROVE).verbs,
            "approve": NOTHING_TO_APPROVE,
            "promote": PROMOTED,
        },
        STARTED,
        share=0.05,
        body={"plan": {"holdback_share": 0}},
    ),
    "promoted": after_the_canary("promote", "promote", share=1.0),
    "rolled back": after_the_canary("rollback"),
    "rolled back in the watch": after_the_canary("promote", "rollback"),
    "stopped": after_the_canary("stop"),
}

# --- A/B tests: half of the units take part, and half of these get the treatment -------------------------

AB_TEST_ONLY: Mapping[str, Refused] = {
    "share": Refused("change them with /split"),
    "approve": Refused("/promote names the treatment that wins"),
    "health": Refused("health checks are for blue-green deployments"),
    "switch": Refused("/promote names the treatment that wins"),
}


def running_test(
    *way: str, share: float, phase: int = 1, promote: Refused | None = None, **more: Any
) -> State:
    next_split = Done("running", 0.4, phase=phase if share == 0.4 else phase + 1)
    verbs: dict[str, Done | Refused] = {
        "pause": Done("paused", 0.0, phase=phase),
        "resume": Refused("it is not paused"),
        "split": next_split,
        "promote": promote or stopped("promoted", 1.0, phase=phase),
        "rollback": stopped("rolled_back", phase=phase),
        "stop": stopped("inconclusive", phase=phase),
    }
    return State(("start", *way), {**AB_TEST_ONLY, **verbs}, STARTED, share, **more)


AB_TESTS: Mapping[str, State] = {
    "draft": State((), {**AB_TEST_ONLY, "start": Done("running", 0.25)}, START_FIRST),
    "running": running_test(share=0.25),
    "split": running_test("split", share=0.4, phase=2),
    "route frozen": running_test("freeze route", share=0.25),
    "observed": running_test(share=0.25, body={"mode": "observe"}),
    "beside a canary": running_test("start a canary", share=0.25, promote=Refused("a canary is live")),
    "paused": State(
        ("start", "pause"),
        {
            **AB_TEST_ONLY,
            "resume": Done("running", 0.25),
            "promote": PROMOTED,
            "rollback": ROLLED_BACK,
            "stop": STOPPED,
        },
        Refused("resume it first"),
    ),
    "promoted": State(("start", "promote"), AB_TEST_ONLY, FINAL, share=1.0),
    "rolled back": State(("start", "rollback"), AB_TEST_ONLY, FINAL),
    "stopped": State(("start", "stop"), AB_TEST_ONLY, FINAL),
}

# --- shadows serve nobody: there is nothing to take back, and they have no share --------------------------

SHADOW = {"kind": "shadow", "treatment": "new"}
SHADOW_ONLY: Mapping[str, Refused] = {
    "share": Refused("draft another one"),
    "split": Refused("draft another one"),
    "approve": Refused("no steps to agree to"),
    "health": Refused("GET /comparisons"),
    "switch": Refused("draft a blue-green deployment"),
    "promote": Refused("start a canary of the same variant"),
    "rollback": Refused("/stop ends it"),
}

SHADOWS: Mapping[str, State] = {
    "draft": State((), {**SHADOW_ONLY, "start": Done("running", 0.0)}, START_FIRST),
    "running": State(
        ("start",),
        {
            **SHADOW_ONLY,
            "pause": Done("paused", 0.0),
            "resume": Refused("it is not paused"),
            "stop": STOPPED,
        },
        STARTED,
    ),
    "paused": State(
        ("start", "pause"),
        {**SHADOW_ONLY, "resume": Done("running", 0.0), "stop": STOPPED},
        Refused("resume it first"),
    ),
    "stopped": State(("start", "stop"), SHADOW_ONLY, FINAL),
}

LIVES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, State]]] = {
    "canary": (CANARY, CANARIES),
    "ab_test": (AB_TEST, AB_TESTS),
    "shadow": (SHADOW, SHADOWS),
}
"""What is drafted, and its states. A kind that is added is added here."""
