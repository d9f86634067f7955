"""What can be done to an experiment: a command for each verb of the api."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from services.cli.control.options import as_json, because, connected, if_match, print_json
from services.cli.control.shares import Share, Weight

if TYPE_CHECKING:
    from services.cli.control.client import Api

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb; the names of its parameters are those of the api's body."""

    name: str
    help: str
    example: str = ""
    parameters: tuple[Decorator, ...] = ()


VERBS = (
    Verb("start", "Begin: the traffic is split from now on."),
    Verb("pause", "Let the control serve everything for a while, and keep the evidence."),
    Verb("resume", "Split the traffic again as it was before the pause."),
    Verb("approve", "Let an experiment that waits for approval go on."),
    Verb(
        "share",
        "Set the share of a canary's treatment by hand, up or down.",
        "20%",
        (click.argument("share", type=Share()),),
    ),
    Verb(
        "split",
        "Give an A/B test other weights or another traffic share, and with them a new phase.",
        "small-model=80% short-prompt=20% --traffic 50%",
        (
            click.argument("variants", type=Weight(), nargs=-1),
            click.option(
                "--traffic", "traffic_share", type=Share(), help="The share of units that take part."
            ),
        ),
    ),
    Verb("switch", "Let a blue-green's new slot serve, once it is healthy."),
    Verb(
        "promote",
        "Decide that the treatment becomes the stable variant.",
        "--variant short-prompt",
        (click.option("--variant", help="Which, where there are several treatments."),),
    ),
    Verb(
        "rollback",
        "Decide that the control serves everything again.",
        '--reason "complaints on the phone"',
        (click.option("--override", is_flag=True, help="Even onto a slot that is not healthy."),),
    ),
    Verb("stop", "End it without a conclusion; the control serves everything."),
)


def commands() -> list[click.Command]:
    """Return a command for each verb."""
    return [_command(verb) for verb in VERBS]


def _command(verb: Verb) -> click.Command:
    @because
    @if_match
    @as_json
    @connected
    def command(
        api: Api, *, key: str, reason: str | None, if_match: str | None, as_json: bool, **asked: Any
    ) -> None:
        from services.cli.control.client import address

        given = {name: value for name, value in asked.items() if _is_given(value)}
        body = given | ({"reason": reason} if reason else {})
        answer = api.post(address("experiments", key, verb.name), body or None, if_match=if_match)
        if as_json:
            print_json(answer.body)
        else:
            _say(key, answer.body)

    for parameter in reversed(verb.parameters):
        command = parameter(command)
    example = f"headgate {verb.name} new-model {verb.example}".rstrip()
    about = f"{verb.help}\n\n\b\nExample:\n  {example}"
    return click.command(verb.name, help=about)(click.argument("key")(command))


def _is_given(value: Any) -> bool:
    """Say whether a parameter was typed; 0 % was."""
    return value is not None and value is not False and value != ()


def _say(key: str, body: Any) -> None:
    """Say what came of it: a decision that routing will apply, or the experiment as it is now."""
    from services.cli.control.kinds import awaited, shares_of, state_of
    from services.cli.control.tables import console

    if "decision_id" in body:
        console().print(f"{body['action']} of {key} is decided; `headgate watch {key}` shows it happen")
    elif "status" in body:
        console().print(f"{key}: {state_of(body)}; {shares_of(body)}")
        if awaited(body):
            console().print(f"waiting for: {awaited(body)}" if body["waiting_for"] else awaited(body))
    else:
        console().print(f"{key}: done")
