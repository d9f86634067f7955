"""What a request may cost at the most, from its body."""

from __future__ import annotations

from services.domain.token_estimate import completion_tokens, prompt_tokens
from services.gateway.body import RequestBody
from services.gateway.limiting.plans import Plan
from services.gateway.surfaces import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES

MILLION = 1_000_000
_CAPS = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    COMPLETIONS: ("max_tokens",),
    RESPONSES: ("max_output_tokens",),
}
"""What a caller's cap on an answer's tokens is called. Other surfaces' names mean nothing to a provider."""


class Cost:
    """Tokens of the prompt and of the answer, and billionths of a dollar."""

    __slots__ = ("completion", "nanos", "prompt")

    def __init__(self, prompt: int = 0, completion: int = 0, nanos: int = 0) -> None:
        self.prompt = prompt
        self.completion = completion
        self.nanos = nanos


NOTHING = Cost()


def cost_of(body: RequestBody, plan: Plan, default_cap: int) -> Cost:
    """Return the estimate. ``default_cap`` stands for the answer's tokens where nobody set a cap."""
    if not plan.counts_tokens:
        return NOTHING
    prompt = prompt_tokens(body.document)
    completion = 0
    if body.surface is not EMBEDDINGS:
        cap = plan.cap
        if plan.asks_for_cap:
            cap = max(cap, _asked_cap(body, default_cap))
        answers = 1
        if "n" in body.members or "best_of" in body.members:
            answers = max(_number(body, "n", 1), _number(body, "best_of", 1))
        completion = completion_tokens(cap, answers)
    return Cost(prompt, completion, price_of(plan.prices, prompt, completion))


def price_of(prices: tuple[int, int], prompt: int, completion: int) -> int:
    """Return what tokens cost, in billionths of a dollar, rounded up."""
    per_input, per_output = prices
    return (prompt * per_input + completion * per_output + MILLION - 1) // MILLION


def _asked_cap(body: RequestBody, default: int) -> int:
    """Return the largest cap that is asked for: which of several a provider heeds is its business."""
    largest: int | None = None
    for name in _CAPS[body.surface]:
        if name in body.members:
            asked = _number(body, name, default)
            largest = asked if largest is None or asked > largest else largest
    return default if largest is None else largest


def _number(body: RequestBody, name: str, default: int) -> int:
    raw = body.members.get(name)
    if raw is None:
        return default
    try:
        return int(bytes(raw))
    except ValueError:
        # No whole number: the provider says what is wrong with it.
        return default
