"""`services/cli/control/watching.py`: an experiment followed to its end."""

from collections.abc import Callable
from typing import Any

import pytest

from services.cli.control.client import Answer
from services.cli.control.refusals import Refused, Unreachable
from services.cli.control.watching import changes, follow


def seen(status: str = "running", share: float = 0.05, **more: Any) -> dict[str, Any]:
    waiting = (
        None if status == "stopped" else {"rule": "hold", "sentence": "more units", "have": 1, "need": 2}
    )
    return {
        "status": status,
        "stage": "ramp",
        "conclusion": None,
        "phase": 1,
        "variants": [{"key": "old", "share": 1 - share}, {"key": "new", "share": share}],
        "waiting_for": waiting,
        "concluded_because": None,
        **more,
    }


class Looks:
    """A control plane that is seen, or away, in turn."""

    def __init__(self, *looks: Any) -> None:
        self._looks = list(looks)
        self.shown: list[str] = []
        self.pauses = 0

    def get(self, _path: str) -> Answer:
        look = self._looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return Answer(look)

    def show(self, _experiment: Any, line: str | None) -> None:
        if line is not None:
            self.shown.append(line)

    def pause(self) -> None:
        self.pauses += 1

    def followed(self, until: str = "stopped") -> Any:
        get: Any = self
        pause: Callable[[], None] = self.pause
        return follow(get, "/v1/experiments/x", self.show, pause, until=until)


END = seen("stopped", 1.0, conclusion="promoted", concluded_because="not worse")


def test_a_line_for_each_change_until_the_end() -> None:
    looks = Looks(seen(), seen(), seen(share=0.25), END)
    assert looks.followed() is END
    assert looks.shown == [
        "phase 1",
        "running: old 95 %, new 5 %",
        "waiting for: more units",
        "running: old 75 %, new 25 %",
        "stopped, promoted: old 0 %, new 100 %",
        "because not worse",
    ]
    assert looks.pauses == 3


def test_figures_that_move_are_no_change() -> None:
    moved = seen()
    moved["waiting_for"] = moved["waiting_for"] | {"sentence": "fewer units", "have": 2}
    assert list(changes(seen(), moved)) == []
    other = seen()
    other["waiting_for"] = other["waiting_for"] | {"rule": "frozen", "sentence": "the route is frozen"}
    assert list(changes(seen(), other)) == ["waiting for: the route is frozen"]


def test_it_may_end_earlier() -> None:
    watched = seen(share=0.95, stage="watch")
    assert Looks(seen(), watched, END).followed(until="watch") is watched
    assert Looks(seen(), END).followed(until="watch") is END
    assert Looks(seen(status="draft"), seen()).followed(until="running")["status"] == "running"


def test_a_control_plane_that_is_away_is_said_once_and_waited_for() -> None:
    away = Unreachable("no answer")
    looks = Looks(seen(), away, away, seen(), away, END)
    looks.followed()
    assert looks.shown.count("no answer") == 2


def test_what_is_not_there_is_not_waited_for() -> None:
    with pytest.raises(Unreachable):
        Looks(Unreachable("no answer")).followed()
    with pytest.raises(Refused):
        Looks(seen(), Refused(404, "gone")).followed()
