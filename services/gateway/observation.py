"""The pages for those who watch: ``/metrics`` and ``/endpoints``, for all processes of the gateway."""

from __future__ import annotations

import asyncio
import os
from typing import Any, NoReturn

from services.gateway.board import Report
from services.gateway.collector import Collector
from services.gateway.exposition import render
from services.gateway.inbound.heads import lines
from services.gateway.inbound.turn import Answer, Turn
from services.gateway.outcomes import OutcomePublisher
from services.gateway.pages import json_page
from services.gateway.place import Place

REPORT_SECONDS = 1.0


class Observation:
    """Answers with what this process counts now and the others reported last."""

    def __init__(self, place: Place, collector: Collector, outcomes: OutcomePublisher) -> None:
        self._place = place
        self._collector = collector
        self._outcomes = outcomes

    async def metrics(self, turn: Turn) -> Answer:
        """Answer in Prometheus' text format, or in OpenMetrics where that is asked for."""
        accept = turn.headers.get(b"accept", b"").decode("latin-1")
        # With thousands of series this takes long enough for requests to notice.
        content_type, body = await asyncio.to_thread(self._render, accept)
        return 200, lines([(b"content-type", content_type.encode("latin-1"))]), body

    async def endpoints(self, _turn: Turn) -> Answer:
        """Tell how each endpoint is, in the eyes of each process."""
        reports = await asyncio.to_thread(self._reports)
        return json_page({"processes": [_status(report) for report in reports]})

    async def report(self) -> NoReturn:
        """Keep this process's report on the board, for ever."""
        while True:
            if self._place.shared is not None:
                report = await asyncio.to_thread(self._report)
                self._place.shared.board.write(self._place.process, report)
            await asyncio.sleep(REPORT_SECONDS)

    def _render(self, accept: str) -> tuple[str, bytes]:
        return render((report.families for report in self._reports()), accept)

    def _reports(self) -> list[Report]:
        place = self._place
        others = [] if place.shared is None else place.shared.board.others(place.process)
        return sorted([self._report(), *others], key=lambda report: report.process)

    def _report(self) -> Report:
        collector = self._collector
        return Report(
            self._place.number,
            os.getpid(),
            str(self._outcomes.gateway),
            collector.endpoints(),
            collector.families(),
        )


def _status(report: Report) -> dict[str, Any]:
    return {
        "process": report.process,
        "pid": report.pid,
        "gateway": report.gateway,
        "endpoints": report.endpoints,
    }
