"""``headgate redeliver``: a message to a webhook, once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from services.cli.control.options import connected

if TYPE_CHECKING:
    from services.cli.control.client import Api


@click.command()
@click.argument("webhook")
@click.argument("delivery")
@connected
def redeliver(api: Api, *, webhook: str, delivery: str) -> None:
    """Send a message to a WEBHOOK again; `headgate get deliveries` names each DELIVERY."""
    from services.cli.control.client import address

    api.post(address("webhooks", webhook, "deliveries", delivery, "retry"))
    click.echo(f"{delivery} is sent to {webhook} again, under the same id")
