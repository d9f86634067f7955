"""What is shown of the requests that were counted: by route and variant, and of attempts by endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.domain.status import OutcomeStatus
from services.gateway.exposition import Figures
from services.gateway.metrics import Metrics
from services.gateway.variant_counts import DURATION_BOUNDS_US, FIRST_TOKEN_BOUNDS_US, VariantCounts

_DURATION_BOUNDS = tuple(bound / 1e6 for bound in DURATION_BOUNDS_US)
_FIRST_TOKEN_BOUNDS = tuple(bound / 1e6 for bound in FIRST_TOKEN_BOUNDS_US)
_Counted = Sequence[tuple[VariantCounts, dict[str, str]]]


def add_requests(figures: Figures, metrics: Metrics) -> None:
    """Add them. Safe in another thread than the one that counts: each copy below is one step of it."""
    counted = [
        (counts, {"route": route, "variant": variant})
        for route, variants in list(metrics.by_route.items())
        for variant, counts in list(variants.items())
    ]
    figures.family("headgate_requests_total", "counter", "Requests that a route took, by how they ended.")
    for counts, labels in counted:
        for status, count in _by_status(counts.by_status):
            figures.sample(count, status=status, **labels)
    _durations(figures, counted)
    _tokens(figures, counted)
    _costs(figures, counted)
    figures.family("headgate_attempts_total", "counter", "Attempts at endpoints, by how they ended.")
    for endpoint, by_status in list(metrics.attempts.items()):
        for status, count in _by_status(by_status):
            figures.sample(count, endpoint=endpoint, status=status)


def _durations(figures: Figures, counted: _Counted) -> None:
    whole = "From admission to the last byte."
    figures.family("headgate_request_duration_seconds", "histogram", whole, _DURATION_BOUNDS)
    for counts, labels in counted:
        figures.histogram(counts.by_duration, counts.duration_us / 1e6, **labels)
    first = "From admission to the first event of a stream that carries some of the answer."
    figures.family("headgate_first_token_seconds", "histogram", first, _FIRST_TOKEN_BOUNDS)
    for counts, labels in counted:
        if any(counts.by_first_token):
            figures.histogram(counts.by_first_token, counts.first_token_us / 1e6, **labels)


def _tokens(figures: Figures, counted: _Counted) -> None:
    help_ = "Tokens that providers reported: prompt, cached (a part of prompt), completion."
    figures.family("headgate_tokens_total", "counter", help_)
    for counts, labels in counted:
        figures.sample(counts.prompt_tokens, kind="prompt", **labels)
        figures.sample(counts.cached_tokens, kind="cached", **labels)
        figures.sample(counts.completion_tokens, kind="completion", **labels)


def _costs(figures: Figures, counted: _Counted) -> None:
    help_ = "What answers cost, where endpoints have prices. Without a team the label is empty."
    figures.family("headgate_cost_dollars_total", "counter", help_)
    for counts, labels in counted:
        for team, nanos in counts.cost_nanos.items():
            figures.sample(nanos / 1e9, team=team, **labels)


def _by_status(counts: Sequence[int]) -> Iterator[tuple[str, int]]:
    return ((status.name.lower(), counts[status]) for status in OutcomeStatus if counts[status])
