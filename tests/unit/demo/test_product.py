"""What the product on this machine keeps in its place."""

from pathlib import Path

from services.demo.product import Product


def test_the_key_of_feedback_tokens_is_kept_for_the_next_time(tmp_path: Path) -> None:
    first, second = (Product("kafka:9092", "postgresql://x", tmp_path, print) for _ in range(2))
    first.keep_feedback_key()
    key = (tmp_path / "feedback-key").read_text()
    assert len(key.strip()) == 64
    assert (tmp_path / "feedback-key").stat().st_mode & 0o077 == 0
    second.keep_feedback_key()
    assert (tmp_path / "feedback-key").read_text() == key
    assert second.environment["HEADGATE_GATEWAY_FEEDBACK_KEY"] == f"file:{tmp_path / 'feedback-key'}"
