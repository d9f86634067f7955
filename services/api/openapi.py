"""The OpenAPI document, corrected where it is made of more than the addresses' signatures.

Problems have a media type of their own, an address that only reads has fewer of them, and each says which
role it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from services.api.problems import MEDIA_TYPE
from services.api.transactions import ROLE

_ONLY_OF_CHANGES = ("400", "412", "413")
_PROBLEM = "#/components/schemas/Problem"


def document(app: FastAPI) -> None:
    """Make the application show the corrected document."""
    generate = app.openapi

    def corrected() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            for method, operation in _operations(schema):
                _correct(method, operation)
        return app.openapi_schema or {}

    app.openapi = corrected  # type: ignore[method-assign]


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
    for response in responses.values():
        content = response.get("content", {})
        if content.get("application/json", {}).get("schema") == {"$ref": _PROBLEM}:
            content[MEDIA_TYPE] = content.pop("application/json")
