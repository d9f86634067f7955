"""``/docs``: the OpenAPI document as a page to read and to try. It loads nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

router = APIRouter(include_in_schema=False)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@router.get("/")
async def front_door() -> RedirectResponse:
    """Lead whoever opens the address in a browser to the page, also behind a prefix."""
    return RedirectResponse("docs")


@router.get("/docs")
async def page() -> Response:
    """Return the page."""
    return _file("page.html", "text/html")


@router.get("/docs/page.js")
async def script() -> Response:
    """Return what the page runs."""
    return _file("page.js", "text/javascript")


@router.get("/docs/page.css")
async def style() -> Response:
    """Return how the page looks."""
    return _file("page.css", "text/css")


def _file(name: str, media_type: str) -> Response:
    content = Path(__file__).with_name(name).read_bytes()
    return Response(content, media_type=media_type, headers=_HEADERS)
