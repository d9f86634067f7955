"""The OpenAPI document, corrected where it is made of more than the addresses' signatures.

It says what a problem is, an address that only reads has fewer of them, and each says which role it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from services.api.transactions import ROLE
from services.api.views import Problem

_ONLY_OF_CHANGES = ("400", "412", "413")


def document(app: FastAPI) -> None:
    """Make the application show the corrected document."""
    generate = app.openapi

    def corrected() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            _add_problem(schema["components"])
            for method, operation in _operations(schema):
                _correct(method, operation)
        return app.openapi_schema or {}

    app.openapi = corrected  # type: ignore[method-assign]


def _add_problem(components: dict[str, Any]) -> None:
    schemas = components["schemas"] | {Problem.__name__: Problem.model_json_schema()}
    components["schemas"] = {name: schemas[name] for name in sorted(schemas)}


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for address in schema["paths"].values():
        yield from address.items()


def _correct(method: str, operation: dict[str, Any]) -> None:
    if ROLE in operation:
        said = operation.get("description", "").rstrip()
        operation["description"] = f"{said}\n\nTakes the role `{operation[ROLE]}`.".lstrip()
    responses = operation["responses"]
    if method == "get":
        for status in _ONLY_OF_CHANGES:
            responses.pop(status, None)
