"""A running A/B test, prepared so that a request costs it two hashes.

The inclusion salt decides whether a unit takes part, the split salt which variant it gets: two numbers that
know nothing of each other, so that a traffic share of 10 % holds every variant by its weight.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import NamedTuple

from services.domain.assignment import BASIS_POINTS, Salted, inclusion_salt, split_salt, variant_at
from services.domain.configuration import TestConfig
from services.domain.events import AssignedTo, Role
from services.domain.metric import LARGEST_REPORTED
from services.domain.request_headers import carries_credentials
from services.gateway.leases import Leased

logger = logging.getLogger(__name__)

LONGEST_ATTRIBUTE = 64
"""Characters of a header's value that are kept as a segment; what differs only behind them is one segment."""


class About(NamedTuple):
    """What is known of a request beside its variant, for its test. ``attributes`` by name."""

    attributes: dict[str, str]
    covariate: float | None = None


NOTHING = About({})


class ServedTest(Leased):
    """A test with what every request would otherwise compute again. ``assignments`` by variant index."""

    __slots__ = (
        "_inclusion",
        "_segment_headers",
        "_split",
        "assignments",
        "config",
        "covariate_header",
        "model_attributes",
        "unreadable_covariates",
    )

    def __init__(self, config: TestConfig) -> None:
        super().__init__(config)
        self.config = config
        self._inclusion = Salted(inclusion_salt(config.salt))
        self._split = Salted(split_salt(config.salt))
        self.assignments = tuple(
            AssignedTo(
                config.experiment_id,
                config.phase,
                Role.TREATMENT if index else Role.CONTROL,
                weight_bp,
                index,
            )
            for index, weight_bp in enumerate(config.weights_bp)
        )
        # Definitions of older releases may name such a header.
        self._segment_headers = tuple(
            (segment.attribute, _name(segment.header))
            for segment in config.segments
            if segment.header and not carries_credentials(segment.header)
        )
        self.model_attributes = tuple(one.attribute for one in config.segments if not one.header)
        self.covariate_header = _name(config.covariate_header) if config.covariate_header else None
        self.unreadable_covariates = 0
        """Requests whose covariate was there and no number, or beyond ``LARGEST_REPORTED``."""

    def variant_of(self, unit_id: str) -> int | None:
        """Return the index of the unit's variant; None where it takes no part."""
        if self._inclusion.basis_point(unit_id) >= self.config.traffic_bp:
            return None
        return variant_at(self._split.basis_point(unit_id), self.config.weights_bp)

    def read(self, headers: Mapping[bytes, bytes]) -> About:
        """Return what the headers of a request say. Names are in lower case."""
        attributes = {
            attribute: _text(value)
            for attribute, header in self._segment_headers
            if (value := headers.get(header))
        }
        covariate = None
        if self.covariate_header is not None and (given := headers.get(self.covariate_header)):
            covariate = number_of(given)
            if covariate is None:
                self.unreadable_covariates += 1
        return About(attributes, covariate)

    def with_model(self, about: About, model: str) -> About:
        """Return the same with the model that the endpoint was asked for, where that is a segment."""
        if not self.model_attributes:
            return about
        attributes = about.attributes.copy()
        for attribute in self.model_attributes:
            attributes[attribute] = model[:LONGEST_ATTRIBUTE]
        return About(attributes, about.covariate)


def prepare(config: TestConfig | None, route_key: str) -> ServedTest | None:
    """Return the test of a route, ready to serve; None where there is none, or none that can be served."""
    if config is None:
        return None
    if len(config.variants) != len(config.weights_bp) or sum(config.weights_bp) != BASIS_POINTS:
        logger.error(
            "route %s: the weights of test %s do not sum to 10,000 basis points; everybody gets the control",
            route_key,
            config.key,
        )
        return None
    return ServedTest(config)


def number_of(text: bytes) -> float | None:
    """Return the number that a header holds; None where it is none, or beyond ``LARGEST_REPORTED``."""
    if b"_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= LARGEST_REPORTED else None


def _name(header: str) -> bytes:
    return header.lower().encode("latin-1", "replace")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace").strip()[:LONGEST_ATTRIBUTE]
