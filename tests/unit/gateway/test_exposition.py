"""Prometheus' text format, down to its escapes."""

from __future__ import annotations

from services.gateway.exposition import Figures, render


def test_the_page() -> None:
    figures = Figures({"process": "1"})
    figures.family("a_total", "counter", "What a \\ and a\nline break become.")
    figures.sample(3, route='say "hi"\\\n')
    figures.sample(True)
    figures.single("b", "gauge", "Beside it.", 0.25)
    assert render([figures.families]).decode() == (
        "# HELP a_total What a \\\\ and a\\nline break become.\n"
        "# TYPE a_total counter\n"
        'a_total{process="1",route="say \\"hi\\"\\\\\\n"} 3\n'
        'a_total{process="1"} 1\n'
        "# HELP b Beside it.\n"
        "# TYPE b gauge\n"
        'b{process="1"} 0.25\n'
    )


def test_reports_are_merged_metric_by_metric() -> None:
    reports = []
    for process in ("1", "2"):
        figures = Figures({"process": process})
        figures.single("a_total", "counter", "A.", int(process))
        figures.single("b", "gauge", "B.", 0)
        reports.append(figures.families)
    page = render(reports).decode().splitlines()
    assert [line for line in page if line.startswith("a_total")] == [
        'a_total{process="1"} 1',
        'a_total{process="2"} 2',
    ]
    assert page.index('a_total{process="2"} 2') < page.index("# HELP b B.")
    assert sum(line.startswith("# TYPE a_total") for line in page) == 1
