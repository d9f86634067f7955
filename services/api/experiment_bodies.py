"""An experiment to draft, of any kind. ``kind`` tells them apart; without it, it is a canary."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body
from pydantic import Discriminator, Tag

from services.api.ab_test_bodies import NewABTest
from services.api.blue_green_bodies import NewBlueGreen
from services.api.canary_bodies import NewCanary
from services.api.sentences import UNION_TAG
from services.api.shadow_bodies import NewShadow


def _kind(body: Any) -> str:
    if isinstance(body, dict):
        return str(body.get("kind", "canary"))
    return getattr(body, "kind", "canary")


_EXAMPLES = {
    "canary": {
        "summary": "A canary: a treatment that climbs as evidence comes in, or is pulled",
        "value": NewCanary.model_config["json_schema_extra"]["example"],  # type: ignore[index]
    },
    "ab_test": {
        "summary": "An A/B test: variants side by side, compared on metrics",
        "value": NewABTest.model_config["json_schema_extra"]["example"],  # type: ignore[index]
    },
    "shadow": {
        "summary": "A shadow: a variant that gets copies of requests, and serves nobody",
        "value": NewShadow.model_config["json_schema_extra"]["example"],  # type: ignore[index]
    },
    "blue_green": {
        "summary": "A blue-green deployment: a variant that is deployed, checked, and switched to at once",
        "value": NewBlueGreen.model_config["json_schema_extra"]["example"],  # type: ignore[index]
    },
}

NewExperiment = Annotated[
    Annotated[NewCanary, Tag("canary")]
    | Annotated[NewABTest, Tag("ab_test")]
    | Annotated[NewShadow, Tag("shadow")]
    | Annotated[NewBlueGreen, Tag("blue_green")],
    Discriminator(
        _kind,
        custom_error_type=UNION_TAG,
        custom_error_message="must be 'canary', 'ab_test', 'shadow' or 'blue_green'",
        custom_error_context={"field": "kind"},
    ),
    Body(openapi_examples=_EXAMPLES),
]
