"""The pages about the gateway itself: alive, ready, and which routes there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from uuid_utils import uuid7

from services.domain.errors import HeadgateError
from services.gateway.admission import authenticate, find_route
from services.gateway.collector import Collector, is_troubled
from services.gateway.compiled import COMPILED
from services.gateway.config import ConfigStore
from services.gateway.feedback_tokens import FeedbackTokens
from services.gateway.inbound.turn import Answer, Turn
from services.gateway.leases import blind_experiments
from services.gateway.limiting.limiter import Limiter
from services.gateway.outcomes import OutcomePublisher
from services.gateway.pages import json_page
from services.gateway.rejections import NotReady
from services.gateway.request_ids import answer_lines, given_id
from services.gateway.selection import Selection
from services.gateway.serving import Serving, refusal
from services.gateway.surfaces import model_asked_for


class StatusPages:
    """Reads the state of the gateway's parts; changes nothing."""

    def __init__(
        self,
        store: ConfigStore,
        selection: Selection,
        outcomes: OutcomePublisher,
        serving: Serving,
        collector: Collector,
        *,
        tokens: FeedbackTokens,
        limiter: Limiter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._selection = selection
        self._outcomes = outcomes
        self._serving = serving
        self._collector = collector
        self._tokens = tokens
        self._limiter = limiter
        self._clock = clock

    async def healthz(self, _turn: Turn) -> Answer:
        """Answer that the process is alive."""
        return json_page({"status": "alive"})

    async def readyz(self, _turn: Turn) -> Answer:
        """Say whether requests can be served, and how each part is."""
        return json_page(self.readiness(), 200 if self._store.ready else 503)

    def readiness(self) -> dict[str, Any]:
        """Return the state of every part. Only the configuration decides about being ready."""
        view, outcomes = self._store.view, self._outcomes
        missing = self._selection.missing_secrets(view.endpoints)
        failing = self._selection.failing_commands()
        feedback_key = self._tokens.problem(self._clock())
        blind = self._blind_experiments()
        troubled = [endpoint for endpoint in self._collector.endpoints() if is_troubled(endpoint)]
        publisher = outcomes.publisher
        return {
            "ready": self._store.ready,
            "gateway": str(outcomes.gateway),
            "process": self._collector.process,
            "compiled": COMPILED,
            "checks": {
                "config": {
                    "ok": self._store.ready,
                    "source": self._store.source,
                    "age_seconds": self._store.age_seconds,
                    "routes": len(view.routes),
                    "endpoints": len(view.endpoints),
                },
                "kafka": {
                    "ok": publisher.state in ("new", "connected"),
                    "state": publisher.state,
                    "waiting_seconds": outcomes.waiting_seconds,
                    "last_error": publisher.last_error,
                },
                "outcomes": {
                    "ok": outcomes.shed == 0,
                    "offered": outcomes.offered,
                    "acknowledged": outcomes.acknowledged,
                    "shed": outcomes.shed,
                    "waiting_bytes": outcomes.waiting_bytes,
                    "limit_bytes": outcomes.limit_bytes,
                },
                "endpoints": {"ok": not troubled, "troubled": troubled},
                "experiments": {"ok": not blind, "blind": blind},
                "secrets": {
                    "ok": not missing and not failing,
                    "missing": missing,
                    "failing_commands": failing,
                },
                "limits": self._limiter.sharing.state(),
                "feedback": {"ok": feedback_key is None, "key": feedback_key},
            },
            "requests": {
                "served": self._serving.served,
                "rejected": self._serving.rejected,
                "active": self._serving.active,
            },
        }

    async def models(self, turn: Turn) -> Answer:
        """List the routes the caller may use, or describe one, as OpenAI lists its models."""
        given = given_id(turn.headers)
        try:
            status, fields, body = json_page(self._models(turn))
        except HeadgateError as error:
            return refusal(error, given=given)
        return status, fields + answer_lines(uuid7().hex, given), body

    def _models(self, turn: Turn) -> dict[str, Any]:
        if not self._store.ready:
            raise NotReady("this gateway has read no configuration yet; /readyz says what it waits for")
        view = self._store.view
        headers = turn.headers
        credential = authenticate(
            headers.get(b"authorization"), headers.get(b"api-key"), view.credentials, self._clock()
        )
        if name := model_asked_for(turn.path):
            return _model(find_route(name, credential, view.routes).config.key)
        allowed = view.routes if credential.routes is None else view.routes.keys() & set(credential.routes)
        return {"object": "list", "data": [_model(key) for key in sorted(allowed)]}

    def _blind_experiments(self) -> list[dict[str, Any]]:
        view, now = self._store.view, self._clock()
        return [
            {
                "experiment": experiment.key,
                "on_blind": experiment.on_blind,
                "measured_at": view.measured_at.get(experiment.experiment_id),
                "limit_seconds": experiment.lease_limit_seconds,
            }
            for experiment in blind_experiments(view, now)
        ]


def _model(key: str) -> dict[str, Any]:
    return {"id": key, "object": "model", "created": 0, "owned_by": "headgate"}
