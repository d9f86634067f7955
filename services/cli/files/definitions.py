"""One form for definitions, whether they come from a file or from the api, so that they can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from services.api.ab_test_bodies import NewABTest, weights_of
from services.api.files import BODIES, MODELS, experiment_bodies
from services.api.problems import dotted
from services.api.sentences import UNION_TAG, sentence
from services.cli.files.documents import Document, Fault, FaultyFiles

Definition = dict[str, Any]
_FIRST = ("key", "route", "kind")


def check(documents: Iterable[Document]) -> None:
    """Raise FaultyFiles with all that the api would say is wrong with the documents by themselves."""
    faults = [fault for document in documents for fault in _faults(document)]
    if faults:
        raise FaultyFiles(faults)


def whole(kind: str, body: Mapping[str, Any]) -> Definition:
    """Return a valid definition with every field, also those that are as they would be anyway."""
    model = _validated(kind, body)
    complete: Definition = model.model_dump()
    if isinstance(model, NewABTest):
        weights = weights_of(model.variants, [one.key for one in model.variants])
        complete["variants"] = [{"key": key, "weight": weight} for key, weight in weights.items()]
    return _ordered(complete)


def concise(kind: str, body: Mapping[str, Any]) -> Definition:
    """Return a definition as one would write it: without what is as it would be anyway."""
    model = _validated(kind, body)
    named = {name: getattr(model, name) for name in _FIRST if name in type(model).model_fields}
    return _ordered(named | _with_metrics(model, model.model_dump(exclude_defaults=True)))


def _with_metrics(model: BaseModel, short: Definition) -> Definition:
    """Name the metric of every guardrail: a margin alone does not say of what."""
    if "guardrails" in short:
        pairs = zip(model.guardrails, short["guardrails"], strict=True)  # type: ignore[attr-defined]
        return short | {"guardrails": [{"metric": one.metric, **written} for one, written in pairs]}
    if "policy" in short:
        return short | {"policy": _with_metrics(model.policy, short["policy"])}  # type: ignore[attr-defined]
    return short


def defined_by(kind: str, view: Mapping[str, Any]) -> Definition:
    """Return the body that would create what the api shows."""
    if kind == "experiment":
        standing = {name: view[name] for name in _FIRST}
        fields = experiment_bodies()[view["kind"]].model_fields
        return standing | _only(fields, view["definition"])
    if kind == "route":
        view = {**view, "stable": view["allocation"]["stable"]}
    return _only(MODELS[kind].model_fields, view)


def differing(one: Definition, other: Definition) -> list[str]:
    """Return the names of the fields in which two whole definitions differ."""
    names = list(dict.fromkeys([*one, *other]))
    return [name for name in names if not same(one.get(name), other.get(name))]


def same(one: Any, other: Any) -> bool:
    """Say whether two values are the same JSON: 1 is 1.0, but not true."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(same, one, other))
        case _:
            return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _validated(kind: str, body: Mapping[str, Any]) -> BaseModel:
    model: BaseModel = BODIES[kind].validate_python(dict(body))
    return model


def _only(fields: Iterable[str], values: Mapping[str, Any]) -> Definition:
    return {name: values[name] for name in fields if name in values}


def _ordered(definition: Definition) -> Definition:
    return {name: definition[name] for name in _FIRST if name in definition} | definition


def _faults(document: Document) -> Sequence[Fault]:
    try:
        _validated(document.kind, document.body)
    except ValidationError as error:
        return [_fault(document, dict(one)) for one in error.errors(include_input=False)]
    return []


def _fault(document: Document, error: Mapping[str, Any]) -> Fault:
    location = error["loc"]
    if error["type"] == UNION_TAG:
        location = (*location, error["ctx"]["field"])
    field = dotted(("", *location)) if location else ""
    return document.fault(field, sentence(error))
