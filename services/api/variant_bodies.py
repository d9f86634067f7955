"""Variants as callers define them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from services.api.schemas import Key, Replacement, distinct, storable
from services.domain.configuration import SelectionRule, VariantConfig

_OWNED_BY_HEADGATE = frozenset({"model", "messages", "stream", "stream_options"})
MAX_LEVELS = 50
"""Of parameters: those who read them, here and at providers, give up at some depth."""


def _is_flat(value: Any, levels: int = MAX_LEVELS) -> bool:
    """Say whether objects and lists lie no more than so many levels deep inside each other."""
    if not isinstance(value, dict | list):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(one, levels - 1) for one in inside)


def _free_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(_OWNED_BY_HEADGATE & parameters.keys())
    if taken:
        raise ValueError(f"must not set {', '.join(taken)}: the variant or the caller does")
    if not _is_flat(parameters):
        raise ValueError(f"holds objects and lists more than {MAX_LEVELS} levels deep inside each other")
    return storable(parameters)


class VariantBody(Replacement):
    """A configuration to serve."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"endpoints": ["openai-main"], "model": "gpt-4.1-mini"}}
    )
    endpoints: Annotated[list[str], Field(min_length=1, max_length=100), AfterValidator(distinct)]
    model: str | None = Field(default=None, min_length=1, max_length=200)
    system_prompt: Annotated[str, AfterValidator(storable)] | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(_free_parameters)] = Field(default={})
    selection: SelectionRule = Field(
        default="weighted",
        description="Among endpoints of one priority: by weight, or the less loaded of two drawn ones",
    )

    def config(self, key: str) -> VariantConfig:
        """Return the variant as it is stored and published."""
        return VariantConfig(
            key=key,
            endpoint_keys=tuple(self.endpoints),
            model=self.model,
            system_prompt=self.system_prompt,
            parameters=self.parameters,
            selection=self.selection,
        )


class NewVariant(VariantBody):
    """A variant to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"key": "small-model", "endpoints": ["openai-main"], "model": "gpt-4.1-mini"}
        }
    )
    key: Key
