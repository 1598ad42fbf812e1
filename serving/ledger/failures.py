"""Turns errors of the ledger's database into sentences that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from features.exceptions import DependencyError
from features.storage.sqlite_words import is_damage, sqlite_fault

__all__ = ["reported"]


@contextmanager
def reported(engine: sa.Engine) -> Iterator[None]:
    """Say what is wrong with the file of ``engine``, and the remedy."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        remedy = "Check that its folder is there and can be written, then run the same command again."
        if is_damage(error):
            remedy = "Restore it from a backup, or move it away: the next score run begins an empty one."
        raise DependencyError(f"The ledger {engine.url.database} {sqlite_fault(error)}. {remedy}") from error
