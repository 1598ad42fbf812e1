"""Late share: calls that were known only after the first cutoff that could have seen them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from features.examination import Finding
from features.quality.section import Inspection, Section, engine_of
from features.rollup.tables import ROLLUPS
from features.shares import Share, percent
from features.windows import days_of_ages

__all__ = ["Lateness", "lateness_of", "look_at_lateness"]


_NOW, _BEFORE = range(1, 29), range(29, 120)  # ages of the event days, 1 the day that ends at the cutoff
_MUCH, _MOST = 0.05, 0.5
_ROSE, _TIMES = 0.01, 3


@dataclass(frozen=True)
class Lateness:
    """The calls of some event days, and how many came too late for the midnight that ends their day.

    Attributes
    ----------
    median_days, longest_days
        How many cutoffs a late call missed.
    """

    calls: int
    late: int
    median_days: int | None
    longest_days: int | None

    @property
    def share(self) -> float:
        """Share of the calls that came late."""
        return self.late / self.calls if self.calls else 0.0


def look_at_lateness(inspection: Inspection) -> Section:
    """One row for the 28 days before the cutoff, and one for the 91 days before those."""
    now, before = (_lateness(inspection, ages) for ages in (_NOW, _BEFORE))
    rows = tuple(
        {
            "event days": title,
            "calls": period.calls,
            "late": period.late,
            "late share": Share(period.share),
            "median days late": period.median_days,
            "longest": period.longest_days,
        }
        for title, period in (("the last 28", now), ("the 91 before", before))
    )
    grace = inspection.home.settings.grace_hours
    note = f"Late: known more than {grace:g} hours after the midnight that ends its day, so that cutoff misses it."
    return Section(rows, tuple(_findings(now, before, grace)), note=note)


def _lateness(inspection: Inspection, ages: range) -> Lateness:
    store = inspection.home.stores.rollups
    manifest = store.manifest()
    days = [f"day={day.isoformat()}" for day in days_of_ages(inspection.cutoff, [ages])]
    files = [file for day in days for file in store.files(day, "usage", manifest=manifest)]
    with engine_of(inspection.home) as engine:
        usage = engine.read_parquet(files, schema=ROLLUPS["usage"].schema)
        counted = engine.to_arrow(
            usage.group_by("event_day", "visible_from").agg(calls=usage.calls.sum().cast("int64"))
        )
    return lateness_of(counted)


def lateness_of(counted: pa.Table) -> Lateness:
    """Lateness of calls by event day and the first cutoff that sees them."""
    rows = counted.to_pylist()
    missed = sorted((_missed(row["event_day"], row["visible_from"]), row["calls"]) for row in rows)
    late = [(cutoffs, calls) for cutoffs, calls in missed if cutoffs > 0]
    total = sum(calls for _, calls in late)
    so_far, median = 0, None
    for cutoffs, calls in late:
        so_far += calls
        if median is None and 2 * so_far >= total:
            median = cutoffs
    return Lateness(sum(row["calls"] for row in rows), total, median, late[-1][0] if late else None)


def _missed(day: date, seen: date) -> int:
    """Cutoffs that could have seen a call of the day and did not."""
    return (seen - day).days - 1


def _findings(now: Lateness, before: Lateness, grace_hours: float) -> Iterator[Finding]:
    if now.share >= _MOST:
        yield Finding(
            f"{percent(now.share)} of the calls of the last 28 event days were known too late for their cutoff, by "
            f"{now.median_days} days in the median: features at past cutoffs are nearly empty.",
            "If this was a first load of old files, load them into a new home with `bellwether ingest --backfill`. If "
            "not, map ingested_at to when a call was logged.",
        )
    elif now.share >= _MUCH or (now.share >= _ROSE and before.calls and now.share >= _TIMES * before.share):
        yield Finding(
            f"{percent(now.share)} of the calls of the last 28 event days came too late for their cutoff "
            f"({percent(before.share)} of the 91 days before), by up to {now.longest_days} days.",
            f"Deliver logs sooner, or raise grace_hours (now {grace_hours:g}) and let the nightly run start later.",
            is_remark=True,
        )
