"""Whether an event of a big log costs what one of a smaller log costs, and whether memory stays where it was."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from features.home.home import Home
from features.rollup.count import roll_up
from tests.benchmarks.building import settings_of
from tests.benchmarks.measure import Cost, apart, measured
from tests.benchmarks.row import Row
from tests.benchmarks.traffic import make_events

SMALL, BIG = 20_000_000, 100_000_000


def rows(small: Path, big: Path) -> Iterator[Row]:
    """Rollup seconds per event of both, in fresh processes; the homes keep the events for another time."""
    costs = {events: _rolled_up(home, events) for home, events in ((small, SMALL), (big, BIG))}
    wall = (costs[BIG].seconds / BIG) / (costs[SMALL].seconds / SMALL)
    processor = (costs[BIG].cpu_seconds / BIG) / (costs[SMALL].cpu_seconds / SMALL)
    yield Row(
        f"rollup seconds per event, {BIG / 1e6:g} M to {SMALL / 1e6:g} M events",
        f"{wall:.2f} (CPU {processor:.2f}): {costs[BIG].seconds:.0f} s to {costs[SMALL].seconds:.0f} s",
        "0.7 to 1.3",
        0.7 <= wall <= 1.3,
        {str(events): asdict(cost) for events, cost in costs.items()},
    )
    peak = costs[BIG].peak_gib
    yield Row(f"rollup, {BIG / 1e6:g} M events: peak memory", f"{peak:.2f} GiB", "< 8 GiB", peak < 8)


def _rolled_up(home: Path, events: int) -> Cost:
    if not (home / "events").exists():
        make_events(home, events)
    shutil.rmtree(home / "rollups", ignore_errors=True)
    cost: Cost = apart(counted, home)
    return cost


def counted(home: Path) -> Cost:
    """Every event day of the home rolled up."""
    settings = settings_of(home)
    return measured(lambda: roll_up(Home(settings)) and None)
