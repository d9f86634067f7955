"""A database as it is after the simulated A/B test, and after a canary that was rolled back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import sqlalchemy as sa

from services.domain.ab_evaluation import METHOD, evaluate_test
from services.domain.ab_results import result_rows
from services.domain.ab_segments import segment_rows
from services.domain.canary import CanaryDefinition, CanaryPlan
from services.domain.counts import Count, CountTable
from services.storage.tables import (
    bucket_sums,
    data_quality_counts,
    decisions,
    experiment_counts,
    experiment_phases,
    experiment_results,
    experiment_results_history,
    experiments,
    exposures,
    gateway_progress,
    partition_progress,
    segment_values,
)
from tests.integration.storage import concise_answers as test
from tests.integration.storage.concise_answers import Traffic

KEY = "concise-answers"
CANARY_KEY = "cheaper-model"
CANARY_ID = UUID("0199a8c0-0000-7000-8000-0000000ca7a9")
DECISION_ID = UUID("0199a8c0-0000-7000-8000-0000000dec1d")
PARTITIONS = 8
TOPIC = "outcomes.v1"
ENDED_AT = test.STARTED_AT + timedelta(hours=test.HOURS)

Row = dict[str, Any]


def fill(database_url: str) -> None:
    """Write everything there is to know of both experiments."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    traffic = test.simulate()
    with engine.begin() as connection:
        _write_test(connection, traffic)
        _write_results(connection, traffic)
        _write_quality(connection, traffic)
        _write_canary(connection)
        # So that plans rest on what is there, as after the first autovacuum.
        connection.execute(sa.text("ANALYZE"))


def _write_test(connection: sa.Connection, traffic: Traffic) -> None:
    connection.execute(
        sa.insert(experiments).values(
            experiment_id=test.EXPERIMENT_ID,
            key=KEY,
            route_key="support",
            kind="ab_test",
            status="stopped",
            conclusion="promoted",
            definition=msgspec.to_builtins(test.DEFINITION),
            control="current",
            created_at=test.STARTED_AT - timedelta(hours=2),
            started_at=test.STARTED_AT,
            stopped_at=ENDED_AT,
        )
    )
    split = {
        "variants": list(test.VARIANTS),
        "weights_bp": list(test.WEIGHTS_BP),
        "traffic_bp": test.TRAFFIC_BP,
    }
    connection.execute(
        sa.insert(experiment_phases).values(
            experiment_id=test.EXPERIMENT_ID,
            phase=1,
            split=split,
            started_at=test.STARTED_AT,
            ended_at=ENDED_AT,
        )
    )
    tiers = [{"experiment_id": test.EXPERIMENT_ID, "attribute": "tier", "value": tier} for tier in test.TIERS]
    connection.execute(sa.insert(segment_values), tiers)
    connection.execute(sa.insert(experiment_counts), _count_rows(traffic))
    connection.execute(sa.insert(exposures), _exposure_rows(traffic))
    connection.execute(sa.insert(bucket_sums), _bucket_rows(traffic))


def _count_rows(traffic: Traffic) -> list[Row]:
    table = test.counts(traffic)
    latency = np.zeros((len(test.VARIANTS), test.HOURS * 60), np.int64)
    np.add.at(latency, (traffic.variant_of[traffic.unit], traffic.minute), traffic.values["latency"])
    rows = _rows_of(test.EXPERIMENT_ID, table)
    for row in rows:
        row["latency_us_sum"] = int(latency[row["variant_index"], row["tick"] - test.FIRST_TICK])
    return rows


def _rows_of(experiment_id: UUID, table: CountTable) -> list[Row]:
    return [
        {
            "experiment_id": experiment_id,
            "phase": 1,
            "tick": cells[Count.TICK],
            "treatment_share_bp": cells[Count.SHARE_BP],
            "role": "treatment" if cells[Count.ROLE] else "control",
            "variant_index": cells[Count.VARIANT],
            "requests": cells[Count.REQUESTS],
            "errors": cells[Count.ERRORS],
            "first_errors": cells[Count.FIRST_ERRORS],
            "first_requests": cells[Count.FIRST_REQUESTS],
            "first_request_errors": cells[Count.FIRST_REQUEST_ERRORS],
        }
        for cells in table.to_lists()
    ]


def _exposure_rows(traffic: Traffic) -> list[Row]:
    rows = []
    for unit, minute in zip(
        traffic.unit[traffic.is_first].tolist(), traffic.minute[traffic.is_first].tolist(), strict=True
    ):
        index = int(traffic.variant_of[unit])
        rows.append(
            {
                "experiment_id": test.EXPERIMENT_ID,
                "phase": 1,
                "unit_hash": signed(traffic.hash_of[unit]),
                "role": "treatment" if index else "control",
                "variant_index": index,
                "variant_key": test.VARIANTS[index],
                "propensity": test.WEIGHTS_BP[index] / 10_000,
                "tick": test.FIRST_TICK + minute,
                "exposed_at": test.STARTED_AT + timedelta(minutes=minute),
            }
        )
    return rows


def _bucket_rows(traffic: Traffic) -> list[Row]:
    parts = [("", None), *((f"tier={tier}", place) for place, tier in enumerate(test.TIERS))]
    rows = []
    for index in range(len(test.VARIANTS)):
        for segment, tier in parts:
            summed = test.sums(traffic, index, tier).sums
            sketched = test.sketches(traffic, index, tier).by_source
            for partition in range(PARTITIONS):
                sketches = {
                    source: {
                        replicate: [
                            sketch.cells[row > 0].tolist(),
                            row[row > 0].tolist(),
                        ]
                        for replicate, row in enumerate(sketch.counts)
                        if replicate % PARTITIONS == partition
                    }
                    for source, sketch in sketched.items()
                }
                rows.append(
                    {
                        "experiment_id": test.EXPERIMENT_ID,
                        "phase": 1,
                        "variant_index": index,
                        "segment": segment,
                        "partition": partition,
                        "partitions": PARTITIONS,
                        "columns": list(test.COLUMNS),
                        "sums": summed[:, :, partition::PARTITIONS].astype(">i8").tobytes(),
                        "sketches": msgspec.msgpack.encode(sketches),
                    }
                )
    return rows


def _write_results(connection: sa.Connection, traffic: Traffic) -> None:
    for hour in range(1, test.HOURS + 1):
        as_of = test.STARTED_AT + timedelta(hours=hour)
        inputs = test.inputs(traffic, until=60 * hour)
        of_tiers = segment_rows(inputs, test.segments(traffic, until=60 * hour))
        rows = _named(as_of, [*result_rows(evaluate_test(inputs)), *of_tiers])
        kept = {"recorded_at": as_of, "occasion": "hour", "decision_id": None}
        connection.execute(sa.insert(experiment_results_history), [{**row, **kept} for row in rows])
    evaluation = evaluate_test(inputs)
    newest = test.inputs(traffic)
    of_all, by_segment = result_rows(evaluate_test(newest)), segment_rows(newest, test.segments(traffic))
    settled_at = test.STARTED_AT + timedelta(minutes=test.EVERYTHING)
    connection.execute(sa.insert(experiment_results), _named(settled_at, [*of_all, *by_segment]))
    connection.execute(
        sa.insert(decisions).values(
            decision_id=DECISION_ID,
            experiment_id=test.EXPERIMENT_ID,
            phase=1,
            action="promote",
            rule="by_hand",
            reason="cheaper, and users like it better",
            actor="dana",
            allocation_version=7,
            variant_key="concise",
            evidence=evaluation.evidence(),
            inputs={},
            method=METHOD,
            state="applied",
            applied_version=8,
            decided_at=ENDED_AT,
            applied_at=ENDED_AT + timedelta(milliseconds=40),
        )
    )
    kept = {"recorded_at": ENDED_AT, "occasion": "decision", "decision_id": DECISION_ID}
    connection.execute(sa.insert(experiment_results_history), [{**row, **kept} for row in rows])


def _named(as_of: datetime, rows: list[Any]) -> list[Row]:
    return [
        {
            "experiment_id": test.EXPERIMENT_ID,
            "experiment": KEY,
            "phase": 1,
            "as_of": as_of,
            **msgspec.structs.asdict(row),
        }
        for row in rows
    ]


def _write_quality(connection: sa.Connection, traffic: Traffic) -> None:
    partition = traffic.bucket_of[traffic.unit] % PARTITIONS
    counted = np.bincount(partition, minlength=PARTITIONS).tolist()
    gateway = UUID("0199a8c0-0000-7000-8000-00000000ba5e")
    connection.execute(
        sa.insert(partition_progress),
        [
            {
                "topic": TOPIC,
                "partition": number,
                "outcomes_counted": outcomes,
                "duplicates_dropped": 3 if number == 2 else 0,
                "dead_lettered": 1 if number == 5 else 0,
            }
            for number, outcomes in enumerate(counted)
        ],
    )
    connection.execute(
        sa.insert(gateway_progress).values(
            topic=TOPIC, partition=2, gateway=gateway, next_sequence=counted[2], missing=4
        )
    )
    reports = int((traffic.reported_minute >= 0).sum())
    arrived = int(((traffic.reported_minute >= 0) & (traffic.reported_minute < test.HOURS * 60)).sum())
    noticed = {"feedback": reports, "late_feedback": reports - arrived, "duplicate_feedback": 11}
    noticed |= {"multiply_exposed": 2}
    connection.execute(
        sa.insert(data_quality_counts),
        [
            {"experiment_id": test.EXPERIMENT_ID, "phase": 1, "kind": kind, "n": n}
            for kind, n in noticed.items()
        ],
    )


def _write_canary(connection: sa.Connection) -> None:
    """A canary with a share of 10 %, then 25 %, whose errors begin in its second step."""
    rng = np.random.default_rng(20261112)
    started_at = datetime(2026, 11, 12, 9, 0, tzinfo=UTC)
    first_tick = int(started_at.timestamp()) // 60
    definition = CanaryDefinition("mini", plan=CanaryPlan(steps=(0.10, 0.25, 0.50)))
    connection.execute(
        sa.insert(experiments).values(
            experiment_id=CANARY_ID,
            key=CANARY_KEY,
            route_key="support",
            kind="canary",
            status="stopped",
            conclusion="rolled_back",
            definition=msgspec.to_builtins(definition),
            control="current",
            created_at=started_at,
            started_at=started_at,
            stopped_at=started_at + timedelta(minutes=40),
        )
    )
    connection.execute(
        sa.insert(experiment_phases).values(
            experiment_id=CANARY_ID, phase=1, split=None, started_at=started_at
        )
    )
    rows = []
    for minute in range(40):
        share_bp = 1_000 if minute < 20 else 2_500
        for index, role in enumerate(("control", "treatment")):
            requests = int(rng.poisson(200 * (share_bp if index else 10_000 - share_bp) / 10_000))
            errors = int(rng.binomial(requests, 0.08 if index and minute >= 25 else 0.01))
            rows.append(
                {
                    "experiment_id": CANARY_ID,
                    "phase": 1,
                    "tick": first_tick + minute,
                    "treatment_share_bp": share_bp,
                    "role": role,
                    "variant_index": index,
                    "requests": requests,
                    "errors": errors,
                    "first_errors": errors,
                    "first_requests": requests,
                    "first_request_errors": errors,
                    "latency_us_sum": requests * 800_000,
                }
            )
    connection.execute(sa.insert(experiment_counts), rows)


def signed(unsigned: int) -> int:
    """A 64-bit number as Postgres stores it."""
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned
