"""Every error as RFC 9457 ``application/problem+json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from services.api.sentences import UNION_TAG, UNION_TAGS, sentence
from services.domain.errors import HeadgateError, InvalidDefinition

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
PROBLEM = "#/components/schemas/Problem"
"""Where the OpenAPI document has what every error looks like."""
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class FieldError(dict[str, str]):
    """Which field, by its dotted path in what was sent, and what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field=field, message=message)


def problem(
    status: int,
    code: str,
    detail: str,
    instance: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem as a response. ``code`` is stable and meant for programs."""
    body: dict[str, Any] = {
        "type": f"urn:headgate:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
    }
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def dotted(location: Sequence[str | int]) -> str:
    """Return a validator's location as callers read it: ``plan.steps[1]``."""
    parts = [part for part in location[1:] if part not in UNION_TAGS]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".") or str(location[0])


def add_problem_handlers(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""
    app.add_exception_handler(HeadgateError, _on_headgate_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(sa.exc.OperationalError, on_database_away)
    app.add_exception_handler(sa.exc.DataError, _on_unstorable)
    app.add_exception_handler(Exception, _on_bug)


async def _on_headgate_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HeadgateError)  # noqa: S101 - Starlette's handlers are typed for any exception
    errors = [FieldError(error.field, error.problem)] if isinstance(error, InvalidDefinition) else []
    return problem(error.http_status, error.code, str(error), request.url.path, errors=errors)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # Never the `input`: it may hold a secret that was sent where a reference belongs.
    errors = [_field_error(one) for one in error.errors()]
    detail = "; ".join(f"{one['field']}: {one['message']}" for one in errors)
    return problem(422, InvalidDefinition.code, detail, request.url.path, errors=errors)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    if error["type"] == "json_invalid":
        return FieldError("body", f"is not JSON: {error['ctx']['error']}")
    location = error["loc"]
    if error["type"] == UNION_TAG:
        location = (*location, error["ctx"]["field"])
    return FieldError(dotted(location), sentence(error))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, HeadgateError):  # what FastAPI met while it read the body
        return await _on_headgate_error(request, error.__cause__)
    code = HTTPStatus(error.status_code).name.lower()
    detail = f"{request.method} {request.url.path}: {error.detail}; /docs lists what there is"
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem(error.status_code, code, detail, request.url.path, headers=headers)


def _allowed(request: Request) -> str:
    """Return all methods of the address. Starlette names those of the first route that it found there."""
    routes: list[BaseRoute] = request.app.routes

    def answers(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in routes)

    return ", ".join(filter(answers, _METHODS))


async def on_database_away(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that found no database."""
    assert isinstance(error, sa.exc.OperationalError)  # noqa: S101
    logger.warning("%s %s: Postgres: %s", request.method, request.url.path, error.orig)
    detail = (
        "the database does not answer or is busy; try again, with an Idempotency-Key to change things once"
    )
    return problem(503, "database_unavailable", detail, request.url.path, headers={"Retry-After": "1"})


async def _on_unstorable(request: Request, _error: Exception) -> JSONResponse:
    detail = "holds a value that cannot be stored, such as a NUL character; leave it out"
    return problem(422, InvalidDefinition.code, detail, request.url.path)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "something is wrong with Headgate itself; its log says more"
    return problem(500, HeadgateError.code, detail, request.url.path)
