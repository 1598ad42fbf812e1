"""Turns errors of Feast's registry and online store into sentences that say what to do."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from features.exceptions import DependencyError
from features.feature_store.fast_import import without_type_checks

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
            "Another process holds it; try again in a moment."
            if "locked" in str(error)
            else f"If it is new: {APPLY} Else `bellwether doctor --repair` mends what can be mended."
        )
        # SQLAlchemy's own words go on with the statement, over many lines.
        reason = (str(getattr(error, "orig", error)).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise DependencyError(f"The feature store in {folder} cannot be used: {reason}. {hint}") from error
    except sqlite3.DatabaseError as error:
        raise DependencyError(
            f"The feature store in {folder} is damaged: {error}. Restore {folder} from a backup, "
            "or remove it and apply and materialize again."
        ) from error
