"""``POST /v1/outcomes``: what people, or the business, say of an answer later."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from uuid_utils import uuid7

from services.domain.errors import HeadgateError, PayloadTooLarge
from services.domain.events import Feedback
from services.gateway.admission import authenticate
from services.gateway.config import ConfigStore
from services.gateway.feedback import FeedbackReader
from services.gateway.feedback_store import FeedbackNotStored, FeedbackStore
from services.gateway.inbound.heads import JSON
from services.gateway.inbound.turn import Answer, Turn
from services.gateway.pages import json_page
from services.gateway.rejections import NotReady, body_of
from services.gateway.request_ids import answer_lines, given_id

_PATHS = frozenset({"/v1/outcomes", "/openai/v1/outcomes", "/openai/outcomes"})
_DEPLOYMENTS = "/openai/deployments/"
MAX_BYTES = 2 * 1024 * 1024


def feedback_addresses() -> list[str]:
    """Return every path that takes feedback."""
    return [*sorted(_PATHS), f"{_DEPLOYMENTS}{{deployment}}/outcomes"]


def takes_feedback(path: str) -> bool:
    """Say whether feedback is taken there: under each base URL that clients have, Azure's included."""
    return path in _PATHS or (path.startswith(_DEPLOYMENTS) and path.endswith("/outcomes"))


class FeedbackPage:
    """Takes feedback. ``clock`` is wall time in seconds."""

    def __init__(
        self,
        store: ConfigStore,
        reader: FeedbackReader,
        kafka: FeedbackStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._reader = reader
        self._kafka = kafka
        self._clock = clock
        self.accepted = 0
        """Pieces of feedback that Kafka has."""
        self.rejected: Counter[str] = Counter()
        """Requests that were refused, by the error's code."""

    async def take(self, turn: Turn) -> Answer:
        """Take the feedback of a request, all of it or none."""
        fields = JSON + answer_lines(uuid7().hex, given_id(turn.headers))
        try:
            feedback = await self._take(turn)
        except HeadgateError as error:
            self.rejected[error.code] += 1
            if isinstance(error, FeedbackNotStored):
                fields += b"retry-after: %d\r\n" % (error.retry_after_seconds or 1)
            return error.http_status, fields, body_of(error)
        self.accepted += len(feedback)
        accepted = {
            "object": "feedback",
            "accepted": len(feedback),
            "event_ids": [one.event_id for one in feedback],
        }
        return 202, fields, json_page(accepted)[2]

    async def _take(self, turn: Turn) -> list[Feedback]:
        view, headers = self._store.view, turn.headers
        if view.installation is None:
            raise NotReady("this gateway has read no configuration yet; /readyz says what it waits for")
        credential = authenticate(
            headers.get(b"authorization"), headers.get(b"api-key"), view.credentials, self._clock()
        )
        document = await turn.receive()
        if len(document) > MAX_BYTES:
            raise PayloadTooLarge(f"the feedback is over {MAX_BYTES:,} bytes; send it in parts")
        feedback = self._reader.read(document, credential, self._clock())
        await self._kafka.store(feedback, view.installation.outcome_partitions)
        return feedback
