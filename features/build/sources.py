"""The sources in the lineage of a cutoff's rows: the event days before it, and what it sees of the record tables."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from features.build.records_seen import records_seen
from features.home.home import Home
from features.rollup.months import event_days
from features.storage.manifest import Manifest

__all__ = ["is_rollup_day", "sources_of"]

_SHORT = 16  # hexadecimal digits that tell two versions of one day apart


def sources_of(
    home: Home, cutoffs: Iterable[datetime], *, rollups: Manifest, records: Manifest, features: Manifest
) -> dict[datetime, Mapping[str, str]]:
    """Of each cutoff its sources with their content: ``day=YYYY-MM-DD`` of the rollups, and names of record tables.

    Raises
    ------
    EngineError
        When a file of the raw store cannot be read.
    """
    days = {day: (rollups.fingerprint(day) or "")[:_SHORT] for day in event_days(rollups)}
    return {
        cutoff: {**{day: content for day, content in days.items() if day < f"day={cutoff.date()}"}, **tables}
        for cutoff, tables in records_seen(home, cutoffs, records=records, features=features).items()
    }


def is_rollup_day(source: str) -> bool:
    """Whether a source is an event day, and no record table."""
    return source.startswith("day=")
