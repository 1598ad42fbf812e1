"""Fingerprints of a metric's daily counts, for each cutoff that may see them, so that no file is read to compare.

A day's counts are one file, and late calls change it for the cutoffs that see them only. So each first cutoff that may
see some of a day's rows has a fingerprint of its own.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from features.storage.manifest import Manifest
from features.windows import days_of_ages

__all__ = ["SEEN", "counts_seen", "fingerprints"]


SEEN = "seen"
"""Name of the fact of a metric and day: first cutoff (ISO date) to a fingerprint of the rows it is the first to see."""

_SHORT = 16  # hexadecimal digits that tell two versions of the same rows apart


def fingerprints(rows: pa.Table) -> dict[date, dict[str, str]]:
    """Event day, then first cutoff (ISO date) to a fingerprint of the counts it is the first to see."""
    keys = ["event_day", "visible_from"]
    others = [name for name in ("account_id", "value", "bucket") if name in rows.column_names]
    ordered = rows.sort_by([(name, "ascending") for name in (*keys, *others)])
    sizes = ordered.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    by_day: dict[date, dict[str, str]] = {}
    start = 0
    for size in sizes.to_pylist():
        part = ordered.slice(start, size["count_all"]).combine_chunks()
        by_day.setdefault(size["event_day"], {})[size["visible_from"].isoformat()] = _fingerprint(part)
        start += size["count_all"]
    return by_day


def counts_seen(manifest: Manifest, key: str, cutoff: datetime, *, reach_days: int) -> list[list[str]]:
    """Days of ``[c - reach, c)`` with the fingerprints of one metric's counts that the cutoff may see."""
    end = cutoff.date().isoformat()
    visible_days = []
    for day in sorted(days_of_ages(cutoff, [range(1, reach_days + 1)])):
        parts: Mapping[str, str] = manifest.facts.get(f"{key}/day={day.isoformat()}", {}).get(SEEN, {})
        visible = [part for first, part in sorted(parts.items()) if first <= end]
        if visible:
            visible_days.append([day.isoformat(), *visible])
    return visible_days


def _fingerprint(rows: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="none")  # the same rows give the same bytes
    return hashlib.sha256(sink.getvalue()).hexdigest()[:_SHORT]
