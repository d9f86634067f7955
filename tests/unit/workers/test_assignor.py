"""Topics whose partitions nobody knows are not quietly left out."""

from types import SimpleNamespace

import pytest

from services.messaging.settings import KafkaSettings
from services.workers import assignor
from services.workers.agents import build_app
from services.workers.assignor import CompleteAssignor
from services.workers.settings import WorkerSettings


class Ended(Exception):
    """Instead of the end of the process."""


def end(reason: str) -> None:
    raise Ended(reason)


def test_a_topic_without_known_partitions_ends_the_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive way that fails: Faust's assignor shares out the other topic alone."""
    monkeypatch.setattr(assignor, "end_process", end)
    known = {"touched.v1": {0, 1}}
    cluster = SimpleNamespace(partitions_for_topic=known.get)
    members = {"a": SimpleNamespace(subscription=["touched.v1", "outcomes.v1"])}
    with pytest.raises(Ended, match=r"outcomes\.v1"):
        CompleteAssignor.assign(object.__new__(CompleteAssignor), cluster, members)


async def test_the_app_uses_it() -> None:
    """Faust takes another assignor than its own when there are no standbys."""

    async def ignore(_: object) -> None: ...

    app = build_app(WorkerSettings(), KafkaSettings(), SimpleNamespace(), on_record=ignore, on_touched=ignore)
    assert app.conf.PartitionAssignor is CompleteAssignor
    assert app.conf.table_standby_replicas > 0
