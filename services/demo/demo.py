"""``headgate demo``: the loop at work, from nothing to a summary, in about a minute."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from services.demo.ab_test import ABTest, run_ab_test
from services.demo.blue_green import BlueGreen, run_blue_green
from services.demo.canaries import BadCanary, GoodCanary, run_bad_canary, run_good_canary
from services.demo.control import ControlApi
from services.demo.product import Addresses, on_embedded_stack
from services.demo.screen import Screen
from services.demo.setup import create_team_key
from services.demo.shadow import Shadow, run_shadow
from services.demo.world import World
from services.domain.errors import HeadgateError
from services.storage.counting_totals import CountingTotals, read_totals
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings


class DemoFailed(HeadgateError):
    """The loop did not do what it is for; the message says what."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo ends with; ``as_json`` is the last line of ``--json``."""

    bad_canary: BadCanary
    good_canary: GoodCanary
    ab_test: ABTest
    shadow: Shadow
    blue_green: BlueGreen
    outcomes_sent: int
    totals: CountingTotals
    units: int
    kafka: str
    postgres: str
    seconds: float

    @property
    def failures(self) -> list[str]:
        """What went wrong, in sentences."""
        found = []
        if not self.bad_canary.succeeded:
            found.append(f"the bad canary ended as {self.bad_canary.conclusion}, not rolled_back")
        if not self.good_canary.succeeded:
            found.append(f"the good canary ended as {self.good_canary.conclusion}, not promoted")
        if not self.ab_test.succeeded:
            found.append(f"the A/B test ended without telling its variants apart: {self.ab_test.sentence}")
        if not self.shadow.succeeded:
            found.append(f"the shadow ended with {self.shadow}")
        if not self.blue_green.succeeded:
            found.append(f"the blue-green deployments ended with {self.blue_green}")
        if self.outcomes_sent != self.totals.outcomes_counted:
            found.append(f"{self.outcomes_sent} outcomes sent, {self.totals.outcomes_counted} counted")
        return found

    def as_json(self) -> dict[str, Any]:
        """The figures by name."""
        return {
            "bad_canary": asdict(self.bad_canary),
            "good_canary": asdict(self.good_canary),
            "ab_test": asdict(self.ab_test),
            "shadow": asdict(self.shadow),
            "blue_green": asdict(self.blue_green),
            "outcomes_sent": self.outcomes_sent,
            "outcomes_counted": self.totals.outcomes_counted,
            "duplicates_dropped": self.totals.duplicates_dropped,
            "missing": self.totals.missing,
            "distinct_units": self.units,
            "kafka": self.kafka,
            "postgres": self.postgres,
            "seconds": round(self.seconds, 1),
        }


async def run_demo(*, seed: int, as_json: bool, stop: asyncio.Event) -> None:
    """Run both scenarios, or less when ``stop`` is set first. Raises DemoFailed where the loop failed."""
    demo = asyncio.create_task(_demo(seed))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({demo, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not demo.done():
        demo.cancel()
        await asyncio.gather(demo, return_exceptions=True)
        raise DemoFailed("interrupted; everything it had started is stopped")
    result = await demo
    _print_summary(result, to_stdout=not as_json)
    if as_json:
        sys.stdout.write(json.dumps(result.as_json()) + "\n")
        sys.stdout.flush()
    if result.failures:
        raise DemoFailed("; ".join(result.failures))


async def _demo(seed: int) -> DemoResult:
    began = time.monotonic()
    with Screen() as screen:
        screen.heading("Starting Headgate: a real Kafka, a real Postgres, and every service")
        async with on_embedded_stack(screen.say, Addresses.free()) as (product, stack):
            screen.say(stack.description)
            screen.say(f"ready after {time.monotonic() - began:.1f} s; data in a temporary directory")
            async with ControlApi(product.addresses.api, product.admin_key) as api:
                world = World(
                    api=api,
                    gateway_url=product.addresses.gateway,
                    provider_url=product.addresses.provider,
                    client_key=await create_team_key(api, "demo"),
                    screen=screen,
                    rng=random.Random(seed),
                )
                bad = await run_bad_canary(world)
                good = await run_good_canary(world)
                ab_test = await run_ab_test(world)
                shadow = await run_shadow(world)
                blue_green = await run_blue_green(world)
            screen.heading("Counting")
            totals = await _counted(stack.database_url, world.sent, screen)
            return DemoResult(
                bad_canary=bad,
                good_canary=good,
                ab_test=ab_test,
                shadow=shadow,
                blue_green=blue_green,
                outcomes_sent=world.sent,
                totals=totals,
                units=world.units,
                kafka=f"Apache Kafka {stack.kafka.version}, embedded (KRaft, one broker)",
                postgres=f"PostgreSQL {stack.postgres.version}, embedded",
                seconds=time.monotonic() - began,
            )


async def _counted(
    database_url: str, sent: int, screen: Screen, within_seconds: float = 20.0
) -> CountingTotals:
    """Wait until as much is counted as was sent; returns what is counted in any case."""
    engine = create_engine(DatabaseSettings(database_url=database_url), application_name="headgate-demo")
    try:
        deadline = asyncio.get_running_loop().time() + within_seconds
        while True:
            async with engine.connect() as connection:
                totals = await read_totals(connection)
            if totals.outcomes_counted >= sent or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
    finally:
        await engine.dispose()
    tell = screen.good if totals.outcomes_counted == sent else screen.bad
    tell(
        f"{sent:,} outcomes sent, {totals.outcomes_counted:,} counted, "
        f"{totals.duplicates_dropped} repeats dropped"
    )
    return totals


def _print_summary(result: DemoResult, *, to_stdout: bool) -> None:
    bad, good, test = result.bad_canary, result.good_canary, result.ab_test
    table = Table(title="What the loop did", title_justify="left")
    for name in ("experiment", "conclusion", "took", "what it cost"):
        table.add_column(name)
    table.add_row(
        "bad: 30 % errors against 1 %",
        bad.conclusion.replace("_", " "),
        f"{_seconds(bad.seconds_to_rollback)} of bad traffic (loop {bad.loop_ms or 0:.0f} ms)",
        f"{bad.canary_requests} requests saw it; e = {bad.e_value or 0:.3g}",
    )
    table.add_row(
        "good: 1 % errors on both",
        good.conclusion,
        f"{_seconds(good.seconds_to_promotion)} from start to 100 %",
        f"{good.units:,} users served meanwhile",
    )
    table.add_row(
        "A/B test: quicker, better liked",
        test.conclusion,
        f"{_seconds(test.seconds_to_result)} until both goals were told apart",
        f"{test.units:,} users, {test.feedback:,} reports; {test.sentence}; {test.cost}",
    )
    shadow = result.shadow
    table.add_row(
        "shadow: a terser model",
        "compared" if shadow.succeeded else "not compared",
        f"{shadow.comparisons:,} of {shadow.sampled:,} sampled requests",
        shadow.sentence,
    )
    slots = result.blue_green
    table.add_row(
        "blue-green: down, failing, fine",
        "refused, rolled back, promoted" if slots.succeeded else "not as expected",
        f"{_seconds(slots.seconds_to_switch)} to switch, {_seconds(slots.seconds_to_rollback)} to roll back",
        f"{slots.unanswered} callers without an answer; {slots.active_slot} is active",
    )
    table.add_section()
    table.add_row(
        "outcomes",
        f"{result.totals.outcomes_counted:,} counted",
        f"{result.outcomes_sent:,} sent",
        f"{result.units:,} distinct users, {result.totals.duplicates_dropped} repeats dropped",
    )
    console = Console(stderr=not to_stdout)
    if not console.is_terminal:
        console = Console(stderr=not to_stdout, width=110)
    console.print(table)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"
