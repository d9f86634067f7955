"""The kill switch: who is down, over the last minutes, without any statistics."""

from __future__ import annotations

from analytics.results import Insufficient
from analytics.threshold import Outage, WindowCounts, kill_switch
from services.domain.canary import KillSwitch
from services.domain.counts import Count, CountTable, Mask
from services.domain.policy import Health


def window(counts: CountTable, rows: Mask, *, now_tick: int, minutes: int) -> WindowCounts:
    """Add up these rows over the last ``minutes`` closed minutes and the open one."""
    ticks = counts[Count.TICK]
    sums = counts.sums(rows & (ticks >= now_tick - minutes) & (ticks <= now_tick))
    return WindowCounts(int(sums[Count.REQUESTS]), int(sums[Count.ERRORS]))


def outage(
    treatment: WindowCounts, control: WindowCounts, switch: KillSwitch, *, name: str
) -> tuple[Health, str]:
    """Say who is down, with a sentence where somebody is. ``name`` is what the treatment is called in it."""
    reading = kill_switch(
        treatment, control, rate=switch.error_rate, minimum_requests=switch.minimum_requests
    )
    if isinstance(reading, Insufficient) or reading.outage is Outage.NEITHER:
        return "fine", ""
    failing = f"{reading.treatment_rate:.0%} of {name}'s requests failed over the last minute"
    if reading.outage is Outage.TREATMENT_DOWN:
        return "treatment_down", f"{failing}, and the control's did not"
    return "both_down", f"{failing}, and so did the control's: an outage of both, so the ramp is frozen"
