"""Limits, time spans and expiries as people type them."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from services.cli.control.amounts import LIMITS, Duration, Expiry, LimitParam
from services.domain.limits import Limits


def test_every_limit_can_be_typed() -> None:
    assert Limits.__struct_fields__ == LIMITS
    typed = [LimitParam().convert(f"{name}=2", None, None) for name in LIMITS]
    assert typed == [(name, 2) for name in LIMITS]
    assert LimitParam().convert("dollars_per_day=0.5", None, None) == ("dollars_per_day", 0.5)
    assert LimitParam().convert("concurrency=none", None, None) == ("concurrency", None)


@pytest.mark.parametrize("text", ["requests=1", "concurrency", "concurrency=", "concurrency=1.5", "=1"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"requests_per_minute=600|concurrency=600"):
        LimitParam().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("45s", 45), ("30m", 1_800), ("12h", 43_200), ("90d", 7_776_000)]
)
def test_time_spans(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "1w", "-1d", "1.5h", "soon"])
def test_what_is_no_time_span(text: str) -> None:
    with pytest.raises(click.BadParameter, match="30m, 12h or 90d"):
        Duration().convert(text, None, None)


def test_an_expiry_is_a_span_from_now_a_time_or_never() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    expiry = datetime.fromisoformat(Expiry().convert("90d", None, None))
    assert before + timedelta(days=90) <= expiry <= datetime.now(UTC) + timedelta(days=90)
    for text in ("never", "2099-01-31T00:00:00Z"):
        assert Expiry().convert(text, None, None) == text


@pytest.mark.parametrize(
    "text", ["90", "yesterday", "-1d", "2027-01-31", "2027-01-31T12:00:00", "20270131", ""]
)
def test_what_is_no_expiry(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90d"):
        Expiry().convert(text, None, None)
