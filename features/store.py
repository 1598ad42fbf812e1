"""What Feast's offline store was called until version 0.1: a ``feature_store.yaml`` that still names it is told so."""

import sys
from typing import NoReturn

__all__: list[str] = []

_OLD = ("ManifestOfflineStore", "ManifestOfflineStoreConfig")


def __getattr__(name: str) -> NoReturn:
    if name not in _OLD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Feast would wrap any exception into a page of its own.
    sys.stderr.write(
        f"Your feature_store.yaml names {__name__}.{name}, which is now features.feature_store.offline_store.{name}. "
        "Take the section offline_store from features/feature_repo/feature_store.yaml.\n"
    )
    sys.exit(2)
