"""The demo's stopwatch."""

from __future__ import annotations

from services.demo.timing import time_rollback
from services.demo.traffic import Answer


def answers(failing: int) -> list[Answer]:
    """Ten control answers and one of the treatment, a second; then the split without the treatment."""
    found = []
    for second in range(40):
        found += [Answer(second, second + 0.5, f"c{second}-{i}", 200, "steady", 7) for i in range(9)]
        status = 500 if second < failing else 200
        found.append(Answer(second + 0.1, second + 0.6, f"t{second}", status, "broken", 7))
    return [*found, Answer(40.0, 40.5, "later", 200, "steady", 8)]


def test_it_runs_from_the_answer_that_proved_it_to_the_first_of_the_new_split() -> None:
    timing = time_rollback(answers(failing=40), treatment="broken", share=0.1, tested_errors=100)
    assert timing is not None
    assert timing.treatment_requests == 40
    assert timing.seconds_to_rollback == 39.1 - 0.6
    assert timing.loop_ms == 1000 * (40.0 - timing.proved_at)
    assert 1.6 <= timing.proved_at <= 5.6


def test_nothing_is_timed_where_nothing_was_proved() -> None:
    nothing = {"treatment": "broken", "share": 0.1, "tested_errors": 0}
    assert time_rollback(answers(failing=0), **nothing) is None
    assert time_rollback(answers(failing=1), **nothing) is None
    assert time_rollback(answers(failing=40)[:-1], treatment="broken", share=0.1, tested_errors=5) is None


def test_errors_that_only_other_clients_saw_do_not_stop_the_watch() -> None:
    timing = time_rollback(answers(failing=2), treatment="broken", share=0.1, tested_errors=3)
    assert timing is not None
    assert timing.proved_at == 1.6


def test_what_the_worker_proved_earlier_counts_from_the_last_error_it_had_seen() -> None:
    timing = time_rollback(answers(failing=2), treatment="broken", share=0.1, tested_errors=2)
    assert timing is not None
    assert timing.proved_at == 1.6
