"""How providers say when to come back."""

from __future__ import annotations

import pytest

from services.gateway.retry_after import retry_after_seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], 0.0),
        ([(b"retry-after", b"7")], 7.0),
        ([(b"retry-after", b" 0.5 ")], 0.5),
        ([(b"retry-after", b"-3")], 0.0),
        ([(b"retry-after", b"1"), (b"retry-after-ms", b"20")], 0.02),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:01:40 GMT")], 40.0),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:00:10 GMT")], 0.0),
        ([(b"retry-after", b"soon")], 0.0),
        ([(b"retry-after", b"nan")], 0.0),
        ([(b"retry-after", b"inf")], 0.0),
        ([(b"retry-after", b"\xff")], 0.0),
    ],
)
def test_seconds(headers: list[tuple[bytes, bytes]], seconds: float) -> None:
    assert retry_after_seconds(headers, 60.0) == seconds
