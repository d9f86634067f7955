"""What a route can decide about a unit. There are few such choices, so each is made once and kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.domain.assignment import BASIS_POINTS
from services.domain.configuration import ExperimentConfig, RouteConfig, VariantConfig
from services.domain.events import AssignedTo, Role
from services.gateway.ab_test import ServedTest
from services.gateway.inbound.heads import lines
from services.gateway.overrides import Overrides
from services.gateway.retry_budget import RetryBudget
from services.gateway.variant_counts import VariantCounts


@dataclass(slots=True)
class Choice:
    """What a request gets. ``assignments`` holds only what its unit was really randomised in.

    ``fields`` are the lines of the answer's head that tell it. ``test`` is None unless the unit is in it.
    ``variant`` and ``overrides`` are None where the route has no variant of that name. Only ``budget`` and
    ``counts`` are set later: they are the variant's, kept from one configuration to the next.
    """

    variant_key: str
    variant: VariantConfig | None
    overrides: Overrides | None
    fields: bytes
    assignments: tuple[AssignedTo, ...] = ()
    test: ServedTest | None = None
    budget: RetryBudget | None = None
    counts: VariantCounts | None = None


class Choices:
    """All choices of one route at one version of its configuration, made when they are first needed."""

    __slots__ = ("_config", "_forced", "_made", "_overrides", "_test", "control", "plain", "treatment")

    def __init__(
        self, config: RouteConfig, test: ServedTest | None, overrides: Mapping[str, Overrides]
    ) -> None:
        self._config = config
        self._test = test
        self._overrides = overrides
        self._made: dict[int, Choice] = {}
        """By a number that stands for the arguments of ``of``."""
        self._forced: dict[str, Choice] = {}
        self.plain = self.of(None, False)
        """The choice of a route without any experiment."""
        canary = config.experiment
        self.control = self.plain if canary is None else self.of(Role.CONTROL, False)
        self.treatment = self.plain if canary is None else self.of(Role.TREATMENT, False)

    def of(
        self, role: Role | None, canary_blind: bool, index: int | None = None, test_blind: bool = False
    ) -> Choice:
        """Return a choice by the unit's role in the canary and its variant in the test, None for neither.

        ``canary_blind`` and ``test_blind`` say that nobody measures them.
        """
        place = 0 if index is None else index + 1
        place = place * 3 + (0 if role is None else role + 1)
        place = place * 4 + (2 if canary_blind else 0) + (1 if test_blind else 0)
        choice = self._made.get(place)
        if choice is None:
            choice = self._made[place] = self._make(role, canary_blind, index, test_blind)
        return choice

    def forced(self, variant_key: str) -> Choice:
        """Return the choice of one of the route's variants by its name: nobody is randomised."""
        choice = self._forced.get(variant_key)
        if choice is None:
            fields = _lines(self._config, variant_key, [(b"x-headgate-forced", "true")])
            choice = self._forced[variant_key] = self._of_variant(variant_key, fields)
        return choice

    def _make(self, role: Role | None, canary_blind: bool, index: int | None, test_blind: bool) -> Choice:
        config, canary, test = self._config, self._config.experiment, self._test
        variant_key = config.stable
        assignments: list[AssignedTo] = []
        told: list[tuple[bytes, str]] = []
        if canary is not None and role is not None:
            variant_key = canary.treatment if role is Role.TREATMENT else canary.control
            assignments.append(_assigned(canary, role))
            told.append((b"x-headgate-experiment", canary.key))
        if test is not None and index is not None:
            variants = test.config.variants
            # The control of a test is whatever the route serves without it.
            variant_key = variants[index] if index else variant_key
            assignments.append(test.assignments[index])
            told += [(b"x-headgate-test", test.config.key), (b"x-headgate-test-variant", variants[index])]
        blind = [one.key for one, is_ in ((canary, canary_blind), (config.test, test_blind)) if one and is_]
        if blind:
            told.append((b"x-headgate-blind", ", ".join(blind)))
        fields = _lines(config, variant_key, told)
        return self._of_variant(variant_key, fields, tuple(assignments), None if index is None else test)

    def _of_variant(
        self,
        variant_key: str,
        fields: bytes,
        assignments: tuple[AssignedTo, ...] = (),
        test: ServedTest | None = None,
    ) -> Choice:
        variant, overrides = self._config.variants.get(variant_key), self._overrides.get(variant_key)
        return Choice(variant_key, variant, overrides, fields, assignments, test)


def _assigned(canary: ExperimentConfig, role: Role) -> AssignedTo:
    share_bp = canary.treatment_share_bp
    propensity_bp = share_bp if role is Role.TREATMENT else BASIS_POINTS - share_bp
    return AssignedTo(canary.experiment_id, canary.phase, role, propensity_bp)


def _lines(config: RouteConfig, variant_key: str, told: list[tuple[bytes, str]]) -> bytes:
    fields = [
        (b"x-headgate-route", config.key),
        (b"x-headgate-variant", variant_key),
        (b"x-headgate-allocation", str(config.allocation_version)),
        *told,
    ]
    return lines((name, _unprintable(b"?", text.encode())) for name, text in fields)


_unprintable = re.compile(rb"[\x00-\x1f\x7f]").sub
"""A key from the configuration must not end its line."""
