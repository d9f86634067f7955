"""The GenAI semantic conventions, as far as a gateway has something to say in their words.

The names are written out here: the package that lists them marks all of them as moved elsewhere.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from services.domain.configuration import EndpointConfig, EndpointKind
from services.domain.events import Attempt, Outcome
from services.domain.status import OutcomeStatus
from services.gateway.body import RequestBody
from services.gateway.exchange import Exchange
from services.gateway.surfaces import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Surface

Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]

SECONDS_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS_BOUNDS = tuple(4.0**power for power in range(14))
FIRST_TOKEN_BOUNDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)

_OPERATIONS: dict[Surface, str] = {
    CHAT: "chat",
    RESPONSES: "chat",
    COMPLETIONS: "text_completion",
    EMBEDDINGS: "embeddings",
}
_PROVIDERS = {"openai": "openai", "azure_openai": "azure.ai.openai"}
_PARAMETERS = {
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
_GOOD = frozenset({OutcomeStatus.OK, OutcomeStatus.CONTENT_FILTERED})


def operation_of(surface: Surface) -> str:
    """Return what the conventions call a surface."""
    return _OPERATIONS[surface]


def model_asked_for(exchange: Exchange, endpoint: EndpointConfig) -> str:
    """Return what an endpoint was asked for."""
    return exchange.route.overrides[exchange.choice.variant_key].model_at(endpoint, exchange.body)


def endpoint_attributes(surface: Surface, endpoint: EndpointConfig, model: str) -> Attributes:
    """Return what all attempts at an endpoint and a model have in common: the labels of metrics, too.

    They are shared, and must not be changed.
    """
    return _endpoint_attributes(surface, endpoint.endpoint_kind, endpoint.base_url, model)


@lru_cache(maxsize=1024)
def _endpoint_attributes(surface: Surface, kind: EndpointKind, base_url: str, model: str) -> Attributes:
    address = urlsplit(base_url)
    attributes: Attributes = {
        "gen_ai.operation.name": operation_of(surface),
        "gen_ai.provider.name": _PROVIDERS[kind],
        "gen_ai.request.model": model,
        "server.address": address.hostname or "",
    }
    port = address.port or {"https": 443, "http": 80}.get(address.scheme)
    return attributes if port is None else attributes | {"server.port": port}


def error_type(status: OutcomeStatus, http_status: int) -> str | None:
    """Return what went wrong, in few words that there are few of; None where nothing did."""
    if http_status >= 400:
        return str(http_status)
    return None if status in _GOOD else status.name.lower()


def attempt_attributes(attempt: Attempt) -> Attributes:
    """Return how an attempt at an endpoint went."""
    attributes: Attributes = {"headgate.endpoint": attempt.endpoint_key}
    if attempt.http_status:
        attributes["http.response.status_code"] = attempt.http_status
    problem = error_type(attempt.status, attempt.http_status)
    return attributes if problem is None else attributes | {"error.type": problem}


def usage_attributes(outcome: Outcome) -> Attributes:
    """Return what an answer took."""
    known = {
        "gen_ai.usage.input_tokens": outcome.prompt_tokens,
        "gen_ai.usage.output_tokens": outcome.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": outcome.cached_tokens,
    }
    attributes: Attributes = {name: count for name, count in known.items() if count is not None}
    if outcome.first_token_us is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = outcome.first_token_us / 1e6
    return attributes


def parameter_attributes(exchange: Exchange) -> Attributes:
    """Return the numbers that the model was asked with, the variant's before the caller's."""
    attributes: Attributes = {"gen_ai.request.stream": exchange.body.streams}
    variant = exchange.route.config.variants.get(exchange.choice.variant_key)
    set_here = {} if variant is None else variant.parameters
    for parameter, name in _PARAMETERS.items():
        value = set_here.get(parameter, _number(exchange.body, parameter))
        if isinstance(value, int | float):
            attributes[name] = value
    return attributes


def _number(body: RequestBody, parameter: str) -> int | float | None:
    raw = body.members.get(parameter)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=int | float)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
