"""What the demo's scenarios work with."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from services.demo.control import ControlApi
from services.demo.screen import Screen
from services.domain.errors import HeadgateError


@dataclass(slots=True)
class World:
    """What a scenario works with."""

    api: ControlApi
    gateway_url: str
    provider_url: str
    client_key: str
    screen: Screen
    rng: random.Random
    sent: int = 0
    unanswered: int = 0
    units: int = 0


async def until(condition: Callable[[], bool], what: str, within_seconds: float = 60.0) -> None:
    """Return once the condition holds; HeadgateError when it does not in time."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise HeadgateError(f"waited {within_seconds:g} s in vain until {what}")
        await asyncio.sleep(0.05)
