"""Sharing out partitions, or not at all.

While brokers restart, a group's leader may know no partitions of a topic. Faust then leaves the topic out and
hands out the rest: every worker is in the group, looks well, and counts nothing. Here the leader ends
itself instead; its successor shares out what is there by then.
"""

from __future__ import annotations

from typing import Any

from faust.assignor import PartitionAssignor

from services.workers.doubt import end_process


class CompleteAssignor(PartitionAssignor):
    """Faust's assignor, for topics that all have partitions."""

    def assign(self, cluster: Any, member_metadata: Any) -> Any:
        """Share out the partitions of every subscribed topic among the group's members."""
        subscribed = {topic for member in member_metadata.values() for topic in member.subscription}
        unknown = sorted(topic for topic in subscribed if not cluster.partitions_for_topic(topic))
        if unknown:
            end_process(f"Kafka named no partitions of {', '.join(unknown)}; they cannot be shared out")
        return super().assign(cluster, member_metadata)
