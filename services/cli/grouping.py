"""The group of all commands: its help has sections, and expected errors are a sentence, not a traceback."""

from __future__ import annotations

import sys

import click

from services.cli.failures import sentence_of


class Commands(click.Group):
    """Commands in sections."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands under a title, in this order."""
        self._sections[title] = [command.name or "" for command in commands]
        for command in commands:
            self.add_command(command)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that is asked for."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise  # click's own, which say what they have to
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            click.echo(f"headgate: {sentence}", err=True)
            sys.exit(1)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section with its commands."""
        longest = max(map(len, self.commands), default=0)
        room = formatter.width - longest - 8
        for title, names in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(room)) for name in names])
