"""Copies a home as it was known at a cutoff: raw tables without later rows, or with those swapped among accounts."""

import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.build.build import build
from features.home.home import Home
from features.offline.files import JOIN_KEY, rows_at
from features.rollup.count import roll_up
from features.storage.damage import damage_named
from features.storage.lineage import Lineage
from features.storage.store import ManifestStore, StoreWriter
from features.windows import known_before

__all__ = ["TIMES", "Past", "copy_of_now"]


TIMES: Mapping[str, tuple[str, str]] = {
    "events": ("event_time", "ingested_at"),
    "accounts": ("created_at", "known_at"),
    "subscriptions": ("occurred_at", "known_at"),
    "touchpoints": ("occurred_at", "known_at"),
    "tables": ("event_timestamp", "known_at"),
}
"""When a row of a raw or external table happened, and when we learned of it; a null keeps no row out."""

# What a partition was made from: where the cutoff is not named, others would make the same of it.
_WHOLE, _EXCHANGED = Lineage(1, {"rows": "all"}), Lineage(1, {"rows": "exchanged"})

_Heirs = Mapping[str, str]  # account to the one that gets its rows


def copy_of_now(home: Home, folder: Path) -> Home:
    """A home in another folder with the raw stores of this moment, as links: what is ingested from now on is not in it.

    Raises
    ------
    WorkFailedError
        When a listed file is missing.
    """
    copy = home.moved_to(folder)
    for store in _stores(home):
        manifest = store.manifest()
        with copy.stores.named(store.root.name).writer() as writer, damage_named(store):
            for partition in manifest.partitions:
                writer.adopt(partition, store, manifest=manifest)
    return copy


def _stores(home: Home) -> list[ManifestStore]:
    """What is never made from anything else: where the partition is no raw table, the store names its times."""
    tables = home.stores.tables
    return [home.stores.events, home.stores.raw, *([tables] if tables.root.exists() else [])]


class Past:
    """A scratch home made from the raw stores of another, which stay as they are.

    Cutoffs may come in any order. A day that is as it was before is neither written nor counted again, so truncating
    at ascending cutoffs costs one rollup of the log for all of them together, and exchanging the future at descending
    cutoffs another.
    """

    def __init__(self, now: Home, folder: Path, *, seed: int) -> None:
        self._now = now
        self._heirs = _ring(_accounts(now), seed=seed)
        self.home = now.moved_to(folder)

    def truncate(self, cutoff: datetime) -> None:
        """Keep what was known at the cutoff: what happened before it and was known before ``cutoff + grace``."""
        self._turn_to(cutoff, None)

    def exchange_future(self, cutoff: datetime) -> int:
        """Keep what was known at the cutoff, and permute every other row between accounts.

        Returns
        -------
        int
            Rows that are another account's now: events, and rows of accounts, subscriptions and touchpoints.
        """
        return self._turn_to(cutoff, self._heirs)

    def rows(self, cutoff: datetime) -> pa.Table:
        """Count and build what the home holds now; see ``features.offline.files.rows_at``."""
        roll_up(self.home)
        # A build leaves alone what was made from the same past, and whether it sees no more than that is the question.
        shutil.rmtree(self.home.stores.features.root, ignore_errors=True)
        build(self.home, [cutoff], now=known_before(cutoff, grace_hours=self.home.settings.grace_hours))
        return rows_at(self.home.stores.features, cutoff, self.home.catalog)

    def _turn_to(self, cutoff: datetime, heirs: _Heirs | None) -> int:
        """Keep the rows known at the cutoff; the others go to the heirs, or away. Returns how many others."""
        moments = (cutoff, known_before(cutoff, grace_hours=self.home.settings.grace_hours))
        others = 0
        for store in _stores(self._now):
            manifest = store.manifest()
            with self.home.stores.named(store.root.name).writer() as writer:
                for name in manifest.partitions:
                    table = name if name in TIMES else store.root.name
                    part = _Partition(store.files(name, manifest=manifest), TIMES[table], moments)
                    if part.is_known:
                        if writer.lineage.get(name) != _WHOLE:
                            writer.adopt(name, store, manifest=manifest, lineage=_WHOLE)
                    elif part.is_unknown and writer.lineage.get(name) == _EXCHANGED and heirs:
                        others += part.count
                    else:
                        others += _rewrite(writer, name, table, part, heirs, cutoff)
        return others


@dataclass(frozen=True)
class _Partition:
    """The files of a partition of a raw store, their times, and the moments before which these must lie."""

    paths: Sequence[Path]
    times: tuple[str, str]
    moments: tuple[datetime, datetime]

    @property
    def count(self) -> int:
        """Rows."""
        return sum(pq.read_metadata(path).num_rows for path in self.paths)

    @property
    def is_known(self) -> bool:
        """Whether every row was known at the cutoff, by the footers; False where they do not say."""
        spans = [(_span(path, name), end) for path in self.paths for name, end in self._limits]
        return all(span is not None and span[1] < end for span, end in spans)

    @property
    def is_unknown(self) -> bool:
        """Whether no row was known at the cutoff, by the footers; False where they do not say."""
        return all(
            any((span := _span(path, name)) is not None and span[0] >= end for name, end in self._limits)
            for path in self.paths
        )

    def rows(self) -> tuple[pa.Table, pa.ChunkedArray]:
        """Every row, and whether it was known at the cutoff."""
        rows = pa.concat_tables([pq.read_table(path, partitioning=None) for path in self.paths])
        in_time = [
            pc.fill_null(pc.less(rows[name], pa.scalar(end, rows.schema.field(name).type)), True)
            for name, end in self._limits
        ]
        return rows, pc.and_(*in_time)

    @property
    def _limits(self) -> list[tuple[str, datetime]]:
        return list(zip(self.times, self.moments, strict=True))


def _span(path: Path, name: str) -> tuple[datetime, datetime] | None:
    """First and last value of a column, by the file's footer; None where it has nulls, no rows or no statistics."""
    footer = pq.read_metadata(path)
    place = footer.schema.to_arrow_schema().get_field_index(name)
    groups = [footer.row_group(group).column(place).statistics for group in range(footer.num_row_groups)]
    if not groups or any(
        statistics is None or not statistics.has_min_max or statistics.null_count for statistics in groups
    ):
        return None
    return min(statistics.min for statistics in groups), max(statistics.max for statistics in groups)


def _rewrite(
    writer: StoreWriter, name: str, table: str, part: _Partition, heirs: _Heirs | None, cutoff: datetime
) -> int:
    """Write what a cutoff leaves of a partition; returns how many rows were not known."""
    if heirs is None and part.is_unknown:
        writer.remove(name)
        return part.count
    rows, is_known = part.rows()
    known, others = rows.filter(is_known), rows.filter(pc.invert(is_known))
    if heirs is not None:
        known = pa.concat_tables([known, _handed_on(others, heirs)])
    if known.num_rows:
        staged = writer.scratch / f"{table}.parquet"
        pq.write_table(known, staged, compression="zstd")
        is_same_elsewhere = heirs is not None and part.is_unknown
        seen = Lineage(1, {"rows": f"seen at {cutoff.date()}"})
        writer.replace(name, {table: staged}, lineage=_EXCHANGED if is_same_elsewhere else seen)
    else:
        writer.remove(name)
    return int(others.num_rows)


def _ring(accounts: Sequence[str], *, seed: int) -> _Heirs:
    """Each account's next in a ring of random order: nobody keeps what is theirs, unless there is nobody else."""
    ring = list(accounts)
    random.Random(seed).shuffle(ring)  # noqa: S311 - a sample, no secret
    return dict(zip(ring, [*ring[1:], *ring[:1]], strict=True))


def _handed_on(rows: pa.Table, heirs: _Heirs) -> pa.Table:
    accounts = rows[JOIN_KEY].combine_chunks().dictionary_encode()
    others = pa.array([heirs[account] for account in accounts.dictionary.to_pylist()], pa.string())
    return rows.set_column(
        rows.schema.get_field_index(JOIN_KEY), rows.schema.field(JOIN_KEY), others.take(accounts.indices)
    )


def _accounts(home: Home) -> list[str]:
    """Every account any raw table names, ascending."""
    accounts: set[str] = set()
    for store in _stores(home):
        manifest = store.manifest()
        for partition in manifest.partitions:
            for path in store.files(partition, manifest=manifest):
                column = pq.read_table(path, columns=[JOIN_KEY], partitioning=None)[JOIN_KEY]
                accounts.update(pc.unique(column).to_pylist())
    return sorted(accounts)
