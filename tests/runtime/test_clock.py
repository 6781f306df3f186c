"""The two clocks of the machine."""

import time

from aritma_auth.runtime import clock
from aritma_auth.runtime.clock import SYSTEM_CLOCK, SystemClock


async def test_the_system_clock_tells_the_machines_time():
    """Both clocks go on, and sleeping takes the time it says."""
    before = SYSTEM_CLOCK.monotonic()
    await SYSTEM_CLOCK.sleep(0.01)

    assert 0.009 < SYSTEM_CLOCK.monotonic() - before < 5
    assert abs(SYSTEM_CLOCK.time() - time.time()) < 5


def test_without_a_clock_that_counts_suspend_the_monotonic_one_serves(monkeypatch):
    """The clock says that it stops while the machine sleeps."""
    monkeypatch.setattr(clock, "_boot_time", lambda: None)
    system = SystemClock()

    assert system.counts_suspend is False
    assert system.monotonic is time.monotonic


def test_where_the_machine_has_one_the_clock_counts_suspend():
    """On Linux that is CLOCK_BOOTTIME."""
    assert SystemClock().counts_suspend is hasattr(time, "CLOCK_BOOTTIME")
