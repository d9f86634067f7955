"""What a worker may be told."""

from __future__ import annotations

import os
import socket

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _own_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class WorkerSettings(BaseSettings):
    """From the environment: HEADGATE_WORKER_NAME, HEADGATE_WORKER_SESSION_TIMEOUT_SECONDS, …"""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_WORKER_", extra="ignore")

    name: str = Field(default_factory=_own_name)
    """Who claimed a partition, for people who look."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    """Where Prometheus finds /metrics. None: nowhere; 0 takes a free port, and the address is logged."""
    session_timeout_seconds: float = 6.0
    """How long Kafka waits for a silent worker before its partitions go to another."""
    claim_timeout_seconds: float = 20.0
    """How long a claim, or the flush before a handover, may take before the process ends."""
    stalled_transaction_seconds: float = 3.0
    """After how long Postgres rolls back what a frozen worker left open: its locks hold up who takes over."""
    flush_floor_seconds: float = 0.005
    """The least time between the starts of two flushes."""
    bucket_flush_seconds: float = 2.0
    """The least time from the end of one flush of bucket sums to the next."""
    bucket_flush_share: float = 0.1
    """How much of the time flushing bucket sums may take: the longer one takes, the longer the next waits."""
    bucket_flush_longest_seconds: float = 30.0
    """The most time that the sums are put off: what they lack is read again after a crash."""
    bucket_sums_bytes: int = 1_000_000_000
    """How much memory the sums may take; beyond it, what was idle longest is written and forgotten."""
    unflushed_outcomes_limit: int = 500_000
    """How many outcomes may be counted and not yet written before reading stops."""
    heartbeat_seconds: float = 1.0
    """How often an idle partition says that it is counted up to its end."""
    evaluation_floor_seconds: float = 0.05
    """The least time between the starts of two evaluations of one experiment."""
    sweep_seconds: float = 1.0
    """How often every running experiment is looked at, touched or not."""
