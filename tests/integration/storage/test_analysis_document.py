"""docs/analysis.md: its code is run on the simulated test, and shows what the page says."""

import os
import re
from pathlib import Path

import pytest

from tests.integration.storage.document import executed

PAGE = Path(__file__).parents[3] / "docs" / "analysis.md"


def test_the_worked_example_runs_and_shows_what_it_says(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_DATABASE_URL", filled_url)
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")

    found = executed(page, filled_url)

    if os.environ.get("HEADGATE_REWRITE_DOCUMENTS"):
        PAGE.write_text(found, encoding="utf-8")
    assert found == page, "run this test with HEADGATE_REWRITE_DOCUMENTS=1 to bring the page up to date"
    drawn = re.findall(r'Path\("(.+?)"\)', page)
    assert drawn
    assert all((tmp_path / name).stat().st_size > 10_000 for name in drawn)
