"""Kinds go by their singular and their plural."""

from __future__ import annotations

import click


class Singular(click.Group):
    """A group whose commands are plurals, and are also found by their singular (and the other way round)."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command by either name."""
        for name in (cmd_name, f"{cmd_name}s", cmd_name.removesuffix("s")):
            command = super().get_command(ctx, name)
            if command is not None:
                return command
        return None
