"""Options that every command of the control plane takes, and what they open."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from services.cli.control.client import Api

as_json = click.option("--json", "as_json", is_flag=True, help="The api's JSON instead of a table.")
because = click.option("--reason", help="Why, for the audit.")
if_match = click.option(
    "--if-match", metavar="ETAG", help="Only if it is still as it was when `describe` showed this ETag."
)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the control plane as its first argument, and the options that say where it is."""

    @click.option(
        "--api-url", envvar="HEADGATE_API_URL", show_envvar=True, help="Default: http://127.0.0.1:8081"
    )
    @click.option(
        "--key",
        "--admin-key",
        "api_key",
        envvar=["HEADGATE_API_KEY", "HEADGATE_ADMIN_KEY"],
        show_envvar=True,
        help="Better set in the environment.",
    )
    @functools.wraps(command)
    def wrapped(*, api_url: str | None, api_key: str | None, **options: Any) -> None:
        with _opened(api_url, api_key) as api:
            command(api, **options)

    return wrapped


def print_json(body: Any) -> None:
    """Print what the api said."""
    click.echo(json.dumps(body, indent=2, ensure_ascii=False))


@contextmanager
def _opened(url: str | None, key: str | None) -> Iterator[Api]:
    from services.cli.control.client import DEFAULT_URL, Api
    from services.cli.control.refusals import ControlFailure

    url = url or DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="--api-url")
    if not key:
        failure = ControlFailure(
            f"HEADGATE_API_KEY is not set; set it to a key of {url}, or HEADGATE_ADMIN_KEY to its admin key"
        )
        failure.exit_code = 4
        raise failure
    with Api(url, key) as api:
        yield api
