"""What the gateway reads out of answers: token counts, and how the provider says it went."""

from __future__ import annotations

from typing import Any

import msgspec

from services.domain.events import LARGEST_TOKENS
from services.domain.status import OutcomeStatus, status_of_response
from services.gateway.decoded import AnswerChoice, AnswerJson, Problem, Usage, decode_answer

CONTENT_FILTER = "content_filter"
_CALLERS_FAULTS = ("invalid_", "image_", "empty_image", "unsupported_", "failed_to_download")
"""How codes begin with which a response fails on account of what was asked."""


class Reading:
    """What has been seen so far of one answer."""

    __slots__ = (
        "_fault",
        "cached_tokens",
        "completion_tokens",
        "content_filtered",
        "error",
        "finished",
        "prompt_tokens",
    )

    def __init__(self) -> None:
        self.prompt_tokens: int | None = None
        self.cached_tokens: int | None = None
        """The part of the prompt's that the provider had in its cache: never more than those."""
        self.completion_tokens: int | None = None
        self.content_filtered = False
        self.error = False
        """Whether the provider reports an error inside its answer."""
        self.finished = False
        """Whether a stream has said that there is nothing more to come but its end."""
        self._fault: object = None

    def read_whole(self, document: bytes) -> bool:
        """Read a whole answer; say whether it is JSON."""
        try:
            self._take(decode_answer(document))
        except msgspec.ValidationError:
            # JSON of another shape than expected is the provider's business.
            return True
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return True

    def read_event(self, data: bytes) -> bool:
        """Read the data of one event; say whether it carries usage and nothing else.

        What is not understood changes nothing.
        """
        try:
            answer = decode_answer(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        self._take(answer)
        return answer.usage is not None and answer.choices == []

    def status(self, http_status: int) -> OutcomeStatus:
        """Return what a whole answer comes to."""
        status = status_of_response(http_status, content_filtered=self.content_filtered)
        if status is OutcomeStatus.OK and self.error:
            by_caller = isinstance(self._fault, str) and self._fault.startswith(_CALLERS_FAULTS)
            return OutcomeStatus.CALLER_ERROR if by_caller else OutcomeStatus.PROVIDER_ERROR
        return status

    def _take(self, answer: AnswerJson) -> None:
        if answer.usage is not None:
            self._count(answer.usage)
        if answer.choices:
            self._note_reasons(answer.choices)
        if answer.error is not None:
            self._note_error(answer.error.code if isinstance(answer.error, Problem) else None)
        if answer.incomplete_details is not None and answer.incomplete_details.reason == CONTENT_FILTER:
            self.content_filtered = True
        if answer.type is not None:
            self._take_typed(answer)

    def _take_typed(self, answer: AnswerJson) -> None:
        if answer.type == "error":
            self._note_error(answer.code)
        elif answer.response is not None:
            self._take(answer.response)
            self.finished = self.finished or answer.type in _TERMINAL

    def _count(self, usage: Usage) -> None:
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        self.prompt_tokens = _possible(usage.input_tokens if prompt is None else prompt)
        self.completion_tokens = _possible(usage.output_tokens if completion is None else completion)
        cached = _possible(_cached(usage.prompt_tokens_details or usage.input_tokens_details))
        self.cached_tokens = None if cached is None else min(cached, self.prompt_tokens or 0)

    def _note_reasons(self, choices: list[AnswerChoice]) -> None:
        for choice in choices:
            if choice.finish_reason is not None:
                self.finished = True
                if choice.finish_reason == CONTENT_FILTER:
                    self.content_filtered = True

    def _note_error(self, code: object) -> None:
        self.error = True
        if code is not None:
            self._fault = code
        if code == CONTENT_FILTER:
            self.content_filtered = True


def _possible(tokens: int | None) -> int | None:
    """Return the nearest number that can be counted to what a provider says."""
    return None if tokens is None else min(max(tokens, 0), LARGEST_TOKENS)


def _cached(details: Any) -> int | None:
    tokens = details.get("cached_tokens") if isinstance(details, dict) else None
    return tokens if isinstance(tokens, int) else None


_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
