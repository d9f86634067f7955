"""What a person sees while the demo or the development stack runs. Progress goes to stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text


class Screen:
    """Lines that stay, and one line that changes in place where there is a terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = Live(Text(""), console=self.console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.console.print(f"\n[bold]{text}[/bold]")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(f"  {text}", markup=False)

    def good(self, text: str) -> None:
        """Print a line of good news."""
        self.console.print(f"  ✓ {text}", style="green", markup=False)

    def bad(self, text: str) -> None:
        """Print a line of bad news."""
        self.console.print(f"  ✗ {text}", style="red", markup=False)

    def status(self, text: str) -> None:
        """Replace the line that changes; nothing is printed where there is no terminal."""
        self._live.update(Text(f"  {text}", style="dim"))
