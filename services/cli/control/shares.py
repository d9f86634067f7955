"""Shares of traffic as people type them: ``20%`` or ``0.2``."""

from __future__ import annotations

from typing import Any

import click


class Share(click.ParamType):
    """A fraction, or a percentage."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the fraction."""
        if isinstance(value, float):
            return value
        digits, sign, rest = str(value).strip().partition("%")
        try:
            share = float(digits) / 100 if sign else float(digits)
        except ValueError:
            self.fail(f"{value!r} is no share; say 20% or 0.2", param, ctx)
        if rest or not 0 <= share <= 1:
            self.fail(f"{value!r} is not between 0 and 1; say 20% or 0.2", param, ctx)
        return round(share, 6)


class Weight(click.ParamType):
    """A variant with its share: ``new-model=20%``."""

    name = "variant=share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the variant as the api takes it."""
        if isinstance(value, dict):
            return value
        key, sign, share = str(value).rpartition("=")
        if not sign or not key:
            self.fail(f"{value!r} must be like new-model=20%", param, ctx)
        return {"key": key, "weight": Share().convert(share, param, ctx)}
