"""What comes late is noted, and counts until its experiment closes."""

from uuid import UUID

import pytest

from services.domain.events import AssignedTo, Feedback, Outcome, Role, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import encode_batch, encode_feedback, encode_feedback_batch, encode_outcome
from services.storage.counting import QualityCount
from services.workers.counts import Delta, Record
from services.workers.endings import Endings
from services.workers.partitions import Partition

TEST, GATEWAY = UUID(int=1), UUID(int=2)
CONTROL = AssignedTo(TEST, 1, Role.CONTROL, 5_000, 0)
TREATMENTS = [AssignedTo(TEST, 1, Role.TREATMENT, 2_500, index) for index in (1, 2)]


def an_outcome(assigned: AssignedTo, unit: int = 7) -> bytes:
    return encode_outcome(
        Outcome(
            request_id="r",
            route_key="chat",
            variant_key="v",
            unit_hash=unit,
            unit_source=UnitSource.USER,
            status=OutcomeStatus.OK,
            http_status=200,
            started_at_us=0,
            latency_us=1,
            assignments=(assigned,),
        )
    )


def a_report(value: float = 1.0) -> bytes:
    return encode_feedback_batch(
        [encode_feedback(Feedback("e", "thumb", value, True, 7, UnitSource.USER, "r", "chat", 1, (CONTROL,)))]
    )


class Log:
    """One partition, counted record by record."""

    def __init__(self) -> None:
        self.endings = Endings()
        self.partition = Partition("outcomes.v1", 0, 1, 0, endings=self.endings)
        self.numbers = 0

    def outcomes(self, *outcomes: bytes) -> Delta:
        self.numbers += len(outcomes)
        return self.record(encode_batch(GATEWAY, self.numbers - len(outcomes), list(outcomes)))

    def record(self, value: bytes) -> Delta:
        delta = Delta()
        assert self.partition.count(Record(0, self.partition.next_offset, 60_000, value), delta)
        return delta


def test_after_the_stop_it_counts_and_is_late() -> None:
    log = Log()
    log.outcomes(an_outcome(CONTROL))
    log.endings.learn({TEST: 1}, [TEST])
    delta = log.outcomes(an_outcome(CONTROL), an_outcome(CONTROL))
    assert [row.requests for row in delta.experiment_rows()] == [2]
    assert delta.quality_rows() == [QualityCount(TEST, 1, "late_outcomes", 2)]
    assert set(log.record(a_report()).quality_rows()) == {
        QualityCount(TEST, 1, "late_feedback", 1),
        QualityCount(TEST, 1, "feedback", 1),
    }


def test_an_older_phase_is_late() -> None:
    log = Log()
    log.endings.learn({TEST: 2}, [])
    delta = log.outcomes(an_outcome(CONTROL))
    assert [row.phase for row in delta.experiment_rows()] == [1]
    assert delta.quality_rows() == [QualityCount(TEST, 1, "late_outcomes", 1)]


def test_a_closed_experiment_counts_nothing() -> None:
    log = Log()
    log.outcomes(an_outcome(CONTROL))
    log.endings.close([TEST])
    delta = log.outcomes(an_outcome(CONTROL))
    assert delta.experiment_rows() == []
    assert list(delta.seal_units()) == []
    assert [row.requests for row in delta.route_rows()] == [1]
    assert delta.quality_rows() == [QualityCount(TEST, 1, "late_outcomes", 1)]
    assert log.record(a_report()).quality_rows() == [QualityCount(TEST, 1, "late_feedback", 1)]


def test_a_unit_of_several_variants_is_exposed_to_the_first() -> None:
    log = Log()
    delta = log.outcomes(*(an_outcome(one) for one in (TREATMENTS[0], TREATMENTS[1], TREATMENTS[1])))
    first_requests = {row.variant_index: row.first_requests for row in delta.experiment_rows()}
    assert first_requests == {1: 1, 2: 0}
    assert delta.quality_rows() == [QualityCount(TEST, 1, "multiply_exposed", 1)]
    assert len(delta.exposures) == 1


def test_a_canary_s_ramp_exposes_nobody_twice() -> None:
    log = Log()
    ramped = [AssignedTo(TEST, 1, Role.CONTROL, 9_500), AssignedTo(TEST, 1, Role.TREATMENT, 2_500)]
    delta = log.outcomes(*(an_outcome(one) for one in ramped))
    assert [row.first_requests for row in delta.experiment_rows()] == [1, 0]
    assert delta.quality_rows() == []
    assert {chunk.event for chunk in delta.seal_units()} == {"request", "request:1"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_report_that_is_no_number_goes_aside(value: float) -> None:
    delta = Log().record(a_report(value))
    assert [letter.index for letter in delta.dead_letters] == [0]
    assert delta.quality_rows() == []
