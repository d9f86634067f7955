"""``headgate usage``: who used how much, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from services.cli.control.options import as_json, connected, print_json

if TYPE_CHECKING:
    from services.cli.control.client import Api

ROWS_AT_ONCE = 1_000


@click.command()
@click.option("--from", "first_day", metavar="DAY", help="The first UTC day; 29 days before --to by default.")
@click.option("--to", "last_day", metavar="DAY", help="The last UTC day; today by default.")
@click.option("--by", default="day", show_default=True, help="Some of day,route,variant,team,key.")
@click.option("--route", help="Only of this route.")
@click.option("--variant", help="Only of this variant.")
@click.option("--team", help="Only of this team; an empty one: of keys without a team.")
@click.option("--key-id", help="Only of this key.")
@as_json
@connected
def usage(
    api: Api, *, first_day: str | None, last_day: str | None, by: str, as_json: bool, **only: Any
) -> None:
    """Show who used how much, and what it cost: requests, tokens and dollars.

    \b
    Examples:
      headgate usage
      headgate usage --by team --from 2026-11-01 --to 2026-11-30
      headgate usage --by route,variant --team search
      headgate usage --by key --json
    """
    query = {"from": first_day, "to": last_day, "group_by": by, "limit": ROWS_AT_ONCE}
    query |= {"key" if name == "key_id" else name: value for name, value in only.items()}
    body = _all_pages(api, query)
    if as_json:
        print_json(body)
    else:
        print_usage(body)


def print_usage(body: Any) -> None:
    """Print a row for each group, and one for all of them."""
    from services.cli.control.tables import Columns, console, print_rows, text

    columns: Columns = {
        **{name: _named(name) for name in body["group_by"]},
        "requests": lambda one: f"{one['requests']:,}",
        "errors": lambda one: f"{one['errors']:,}",
        "prompt tokens": lambda one: f"{one['prompt_tokens']:,}",
        "cached": lambda one: f"{one['cached_tokens']:,}",
        "completion tokens": lambda one: f"{one['completion_tokens']:,}",
        "dollars": lambda one: f"{one['cost_nanos'] / 1e9:,.4f}",
        "without prices": lambda one: f"{one['unpriced_requests']:,}",
    }
    if not body["items"]:
        console().print(f"nothing was used from {body['first_day']} to {body['last_day']}")
        return
    together = body["totals"] | dict.fromkeys(body["group_by"], "") | {body["group_by"][0]: "all"}
    print_rows(
        list(columns),
        [[text(cell(item)) for cell in columns.values()] for item in [*body["items"], together]],
    )


def _named(name: str) -> Any:
    if name == "key":
        return lambda item: f"{item['key']} ({item['key_label']})" if item.get("key_label") else item["key"]
    return lambda item: item[name]


def _all_pages(api: Api, query: dict[str, Any]) -> Any:
    from services.cli.control.client import address

    body = api.get(address("usage"), query).body
    while body["next_cursor"] is not None:
        page = api.get(address("usage"), query | {"cursor": body["next_cursor"]}).body
        body["items"] += page["items"]
        body["next_cursor"] = page["next_cursor"]
    return body
