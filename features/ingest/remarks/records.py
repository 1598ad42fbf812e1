"""Says of the rows of a CRM table since when they count, where their files do not say it."""

from collections.abc import Iterator

import ibis

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.deliveries import without_overruled
from features.ingest.staged import Staged
from features.schema import ACCOUNTS, SUBSCRIPTIONS, RawTable

__all__ = ["change_notes", "differing_notes", "undated_notes"]


_COMPLETE = " Without --complete-until the table counts as complete until its newest known_at."


def undated_notes(engine: Engine, staged: Staged, *, backfill: bool) -> Iterator[str]:
    """Whence the missing ``known_at`` of staged CRM rows was taken."""
    table, rows = staged.table, staged.rows
    happened = "created_at" if table is ACCOUNTS else "occurred_at"
    source = f"{happened} (backfill)" if backfill else "the clock of this command"
    good = rows.filter(rows.reason.isnull())
    undated = good.by_clock & (good.created_at.isnull() if table is ACCOUNTS else ibis.literal(False))
    counts = good.agg(rows=good.count(), silent=good.by_clock.sum(), undated=undated.sum())
    row = engine.to_arrow(counts).to_pylist()[0]
    if row["silent"]:
        which = (
            "no known_at"
            if "known_at" not in staged.brought
            else f"{row['silent']:,} of {row['rows']:,} rows have no known_at"
        )
        yield (
            f"{table.name}: {which}; where a row is new, it was taken from {source}. Rows that were there before keep "
            f"theirs.{'' if backfill else _COMPLETE}"
        )
    if backfill and row["undated"]:
        rows_have = counted(row["undated"], "row has|rows have")
        yield (
            f"{table.name}: {rows_have} no known_at and no created_at; they count as known from now on, unless they "
            "were there before."
        )


def differing_notes(engine: Engine, staged: Staged) -> Iterator[str]:
    """Which accounts have subscription rows that one of the files has and another, which has others like it, has not.

    None of them is known to be the later one, as of parts of an export: see :mod:`features.ingest.deliveries`.
    """
    if staged.table is not SUBSCRIPTIONS or len(staged.paths) < 2:
        return
    rows = staged.rows.filter(staged.rows.reason.isnull())
    key = ["account_id", "subscription_id", "occurred_at", "kind", "known_at"]
    stated = ["plan", "mrr", "quota_calls_per_month", "term_end"]
    by_content = rows.group_by(*key, *stated).agg(files=rows.source_file.nunique())
    by_key = rows.group_by(*key).agg(files=rows.source_file.nunique())
    joined = by_content.inner_join(by_key, [by_content[name].identical_to(by_key[name]) for name in key])
    differing = joined.filter(by_content.files < by_key.files).select(by_content.account_id).distinct()
    accounts = engine.to_arrow(differing.order_by("account_id"))["account_id"].to_pylist()
    if accounts and without_overruled(engine, rows, staged.table)[1] is None:
        have = counted(len(accounts), "account has|accounts have")
        yield (
            f"{staged.table.name}: {have} rows of one time and kind that differ from file to file: {listed(accounts)}. "
            "They came together, so none is known to be the later one. "
            "Where the files are exports of several days, ingest them into a new home one by one, the oldest first."
        )


def change_notes(table: RawTable, *, corrections: int, backdated: int) -> Iterator[str]:
    """What new rows do to what was known: those that correct stored ones, those that count as known long before."""
    if corrections:
        subscription = ", subscription" if "subscription_id" in table.schema.names else ""
        key = "account" if table is ACCOUNTS else f"account{subscription}, time and kind"
        yield (
            f"{table.name}: {counted(corrections, 'row says|rows say')} something else than the stored row of the same "
            f"{key}. From now on that counts, and the past stays as it was known."
        )
    if backdated:
        rows_count = counted(backdated, "new row counts|new rows count")
        yield (
            f"{table.name}: {rows_count} as known since {'it' if backdated == 1 else 'they'} happened (backfill), and "
            "there were rows before: cutoffs that see new ones are built again. Without --backfill they count from now "
            "on."
        )
