"""Both event loops: uvloop is what production runs on, asyncio what aiohttp is mostly used with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
import uvloop

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

LOOPS: dict[str, Run[Any]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}

on_both_loops = pytest.mark.parametrize("loop", LOOPS)


async def on(loop: str, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end on a loop of its own."""
    result: T = await asyncio.to_thread(LOOPS[loop], coroutine)
    return result
