"""Turns errors of Feast's registry and online store into sentences that say what to do."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from features.exceptions import DependencyError
from features.feature_store.fast_import import without_type_checks
from features.storage.sqlite_words import is_held, sqlite_fault

with without_type_checks():
    from feast.errors import FeastObjectNotFoundException

__all__ = ["APPLY", "reported"]

APPLY = "Run `bellwether features apply`, then `bellwether features materialize`."
"""How a feature store comes to be."""


@contextlib.contextmanager
def reported(folder: Path) -> Iterator[None]:
    """Say what to do when Feast, SQLite or SQLAlchemy cannot use the store."""
    try:
        yield
    except (FeastObjectNotFoundException, sqlite3.OperationalError, SQLAlchemyError) as error:
        hint = (
            "Try again in a moment."
            if is_held(error)
            else f"If it is new: {APPLY} Else `bellwether doctor --repair` mends what can be mended."
        )
        raise DependencyError(f"The feature store in {folder} {sqlite_fault(error)}. {hint}") from error
    except sqlite3.DatabaseError as error:
        raise DependencyError(
            f"The feature store in {folder} {sqlite_fault(error)}. Restore {folder} from a backup, "
            "or remove it and apply and materialize again."
        ) from error
