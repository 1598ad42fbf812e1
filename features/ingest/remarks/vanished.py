"""Tells what a whole export of the CRM has no more: it stays as it was, since nothing says what became of it."""

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.deliveries import SNAPSHOT_SHARE
from features.ingest.known_since import key_of
from features.ingest.staged import Staged
from features.schema import ACCOUNTS, SUBSCRIPTIONS
from features.storage.store import ManifestStore

__all__ = ["vanished_notes"]


_MEANING = {
    ACCOUNTS.name: "They stay accounts as they were. Who left is known by a cancellation, or by silence.",
    SUBSCRIPTIONS.name: (
        "They count as before. Where a row was moved to another time, both count: take a cancellation back by a "
        "reactivate of its time."
    ),
}


def vanished_notes(engine: Engine, staged: Staged, store: ManifestStore) -> list[str]:
    """A sentence where the files are an export of what is stored, and some of that is not among them.

    They are one where they have at least :data:`features.ingest.deliveries.SNAPSHOT_SHARE` of the stored rows again:
    of accounts by id, of subscription events by account, subscription, time and kind.
    """
    table = staged.table
    if table.name not in _MEANING:
        return []
    key, paths = key_of(table), store.files(table.name, table.name)
    stored = engine.name_parquet(f"before_{table.name}", paths, schema=table.schema, absent_as_null=table.added)
    known = stored.select(key).distinct()
    coming = staged.rows.filter(staged.rows.reason.isnull()).select(key).distinct()
    absent = known.anti_join(coming, [known[name].identical_to(coming[name]) for name in key])
    rows, missing = engine.count(known), engine.count(absent)
    if not missing or rows - missing < SNAPSHOT_SHARE * rows:
        return []
    accounts = engine.to_arrow(absent.select("account_id").distinct().order_by("account_id"))["account_id"].to_pylist()
    nouns = "account is|accounts are" if table is ACCOUNTS else "stored row is|stored rows are"
    of = "" if table is ACCOUNTS else "of "
    what = f"{counted(missing, nouns)} not in this export, which has the others again: {of}{listed(accounts)}."
    return [f"{table.name}: {what} {_MEANING[table.name]}"]
