"""``GET /v1/experiments/{key}/comparisons``: what a shadow's answers were, next to production's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.common import PROBLEMS, Database
from services.api.shadow_views import ComparisonsView, ComparisonView, CoverageView, ReportView
from services.api.transactions import Route
from services.api.waiting import waiting_for
from services.domain.experiment import Experiment
from services.domain.shadow_report import ShadowReport, report_of
from services.storage import comparisons, experiments
from services.storage.comparisons import Coverage

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], responses=PROBLEMS, route_class=Route)


@router.get("/{key}/comparisons")
async def show_comparisons(
    key: str, database: Database, limit: Annotated[int, Query(ge=0, le=1000)] = 20
) -> ComparisonsView:
    """Show what a shadow did: the report on all comparisons, what was and was not covered, and the newest
    comparisons. Texts are there where the experiment keeps them and as long as they have not expired."""
    snapshots = database.execution_options(isolation_level="REPEATABLE READ")
    async with snapshots.connect() as connection:
        experiment = await experiments.get(connection, key)
        threshold = experiment.shadow.similarity_threshold
        phase = experiment.experiment_id, experiment.phase
        coverage = await comparisons.covered(connection, *phase)
        report = report_of(await comparisons.summed(connection, *phase, similar_from=threshold))
        newest = await comparisons.newest(connection, *phase, limit=limit)
        return ComparisonsView(
            experiment=experiment.key,
            experiment_id=experiment.experiment_id,
            status=experiment.status,
            conclusion=experiment.conclusion,
            production=experiment.control,
            shadow=experiment.shadow.treatment,
            waiting_for=await waiting_for(connection, experiment),
            no_comparisons=_why_none(experiment, report, coverage),
            coverage=CoverageView.of(coverage),
            report=ReportView.of(report, threshold, coverage) if report.mirrored else None,
            items=[ComparisonView.of(one, threshold) for one in newest],
        )


def _why_none(experiment: Experiment, report: ShadowReport, coverage: Coverage) -> str | None:
    if report.compared:
        return None
    if experiment.status == "draft":
        return f"no comparisons yet: POST /v1/experiments/{experiment.key}/start begins to mirror requests"
    if report.mirrored:
        return f"no comparisons yet: of {report.mirrored} mirrored requests none was answered by both"
    if coverage.sampled:
        shed = ", ".join(f"{n} {reason}" for reason, n in coverage.shed.items()) or "none of them shed"
        return f"no comparisons yet: {coverage.sampled} requests were sampled ({shed})"
    return "no comparisons yet: no request of the route was sampled so far"
