"""Ingest, timed apart: rows of one Parquet file a day, validated, deduplicated, hashed and stored, per second."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from features.home.home import Home
from features.settings.fields import Settings
from features.windows import DAY
from tests.benchmarks.measure import Cost, apart, measured
from tests.benchmarks.row import Row
from tests.benchmarks.traffic import DAYS, FIRST_DAY, make_events


def rows(*, events: int) -> Iterator[Row]:
    """Events per second; no bar."""
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        source = Path(folder)
        make_events(source, events)
        cost = apart(_ingest, source)
    yield Row(
        f"ingest, {events / 1e6:g} M events",
        f"{cost.result / cost.seconds:,.0f} events/s ({cost.seconds:.1f} s, CPU {cost.cpu_seconds:.1f} s, {cost.peak_gib:.2f} GiB)",
        "timed apart",
        None,
        asdict(cost),
    )


def _ingest(source: Path) -> Cost:
    from features.ingest.ingest import ingest

    settings = Settings(home=source / "ingested")
    files = sorted((source / "events").glob("day=*/*.parquet"))
    now = FIRST_DAY + (DAYS + 5) * DAY
    return measured(lambda: ingest(Home(settings), now=now, events=files).events_total)
