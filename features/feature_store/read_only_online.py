"""Lets Feast read an online store that cannot be written, where it would open the file to write."""

import sqlite3
from pathlib import Path

from features.feature_store.fast_import import without_type_checks
from features.storage.read_only import connected_to_read, state_of

with without_type_checks():
    from feast import FeatureStore

__all__ = ["OnlineState", "read_without_writing"]


OnlineState = tuple[tuple[int, int, int], ...]
"""What :func:`features.storage.read_only.state_of` says of the file when it was opened."""


def read_without_writing(feast: FeatureStore, online: Path, before: OnlineState | None) -> OnlineState:
    """Hand Feast a connection that only reads, a new one where another machine wrote since ``before``.

    Feast's SQLite store opens its file on the first read, unless it has a connection already; there is no setting.
    """
    state = state_of(online)
    if state != before:
        store = feast._get_provider().online_store  # noqa: SLF001 - Feast has no other way to it
        if store._conn is not None:  # noqa: SLF001 - as above
            store._conn.close()  # noqa: SLF001 - as above
        types = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES  # as Feast opens it
        store._conn = connected_to_read(online, detect_types=types, check_same_thread=False)  # noqa: SLF001 - as above
    return state
