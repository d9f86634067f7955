"""Definitions as they stand in files: the bodies that create them, one document each, and their schema.

A document has one key, which names the kind, and under it the body that the api takes. Beside an experiment
there may be ``start: true``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from services.api.endpoint_bodies import NewEndpoint
from services.api.experiment_bodies import NewExperiment
from services.api.metric_bodies import NewMetric
from services.api.route_bodies import NewRoute
from services.api.team_bodies import NewTeam
from services.api.variant_bodies import NewVariant
from services.api.webhook_bodies import NewWebhook

MODELS: Mapping[str, type[BaseModel]] = {
    "team": NewTeam,
    "endpoint": NewEndpoint,
    "variant": NewVariant,
    "route": NewRoute,
    "metric": NewMetric,
    "webhook": NewWebhook,
}
"""What creates each kind of which there is one body."""

BODIES: Mapping[str, TypeAdapter[Any]] = {
    **{kind: TypeAdapter(model) for kind, model in MODELS.items()},
    "experiment": TypeAdapter(NewExperiment),
}
"""What creates each kind."""

_TITLES: Mapping[str, str] = {
    "team": "Who keys belong to, and what they may use together",
    "endpoint": "A provider deployment",
    "variant": "A configuration to serve",
    "route": "A name that clients put in `model`, the variant that serves it at first, and its limits",
    "metric": "What can be measured",
    "experiment": "A controlled change on a route",
    "webhook": "Who is told of decisions and changes",
}
_START = "Start the experiment too, while it is a draft. No file ever starts one again, or stops one"


def experiment_bodies() -> Mapping[str, type[BaseModel]]:
    """Return the body of each kind of experiment."""
    union = get_args(NewExperiment)[0]
    models: list[type[BaseModel]] = [get_args(member)[0] for member in get_args(union)]
    return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a document, for editors."""
    inputs = [(kind, "validation", adapter) for kind, adapter in BODIES.items()]
    by_kind, shared = TypeAdapter.json_schemas(inputs, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    properties = {kind: {"description": _TITLES[kind], **by_kind[kind, "validation"]} for kind in BODIES}
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://headgate.invalid/experiment.schema.json",
        "title": "A definition in a file",
        "description": "One key that names the kind, and under it the definition.",
        "type": "object",
        "properties": properties | {"start": {"description": _START, "type": "boolean", "default": False}},
        "additionalProperties": False,
        "oneOf": [{"required": [kind]} for kind in BODIES],
        "dependencies": {"start": ["experiment"]},
        "$defs": shared["$defs"],
    }
    return json.loads(json.dumps(_for_editors(document)))  # type: ignore[no-any-return]


def _for_editors(part: Any) -> Any:
    """Return the schema without titles that repeat a name, and with examples where JSON Schema has them."""
    if isinstance(part, list):
        return [_for_editors(one) for one in part]
    if not isinstance(part, dict):
        return part
    kept = {name: _for_editors(value) for name, value in part.items() if not _is_noise(name, value)}
    example = kept.pop("example", None)
    return kept if not isinstance(example, dict) else kept | {"examples": [example]}


def _is_noise(name: str, value: Any) -> bool:
    return name == "title" and isinstance(value, str) and value != "A definition in a file"
