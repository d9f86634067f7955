"""In which order a variant's endpoints are asked: by tier, lowest priority number first, weighted inside."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from services.domain.configuration import EndpointConfig, VariantConfig
from services.gateway.secret_references import SecretResolver

Candidate = tuple[EndpointConfig, str | None]
"""An endpoint that can be asked, and its secret."""


class Selection:
    """Orders endpoints; ``random`` decides inside a tier."""

    def __init__(self, secrets: SecretResolver, random: Random) -> None:
        self._secrets = secrets
        self._random = random

    def order(self, variant: VariantConfig, endpoints: Mapping[str, EndpointConfig]) -> list[Candidate]:
        """Return the variant's usable endpoints, each once, in the order to ask them."""
        usable = []
        for key in variant.endpoint_keys:
            endpoint = endpoints.get(key)
            if endpoint is None or endpoint.weight <= 0:
                continue
            secret = None if endpoint.secret is None else self._secrets.resolve(endpoint.secret)
            if secret is not None or endpoint.secret is None:
                usable.append((endpoint, secret))
        if len(usable) > 1:
            usable.sort(key=lambda candidate: self._place(candidate[0]))
        return usable

    def _place(self, endpoint: EndpointConfig) -> tuple[int, float]:
        # Drawing u^(1/w) for each and sorting is a weighted draw without replacement (Efraimidis, Spirakis).
        return endpoint.priority, -(self._random.random() ** (1.0 / endpoint.weight))

    def missing_secrets(self, endpoints: Mapping[str, EndpointConfig]) -> list[str]:
        """Return the endpoints whose secret cannot be found here."""
        return sorted(
            key
            for key, endpoint in endpoints.items()
            if endpoint.secret is not None and self._secrets.resolve(endpoint.secret) is None
        )
