"""The tables of the score ledger, and how they came to be what they are."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from features.exceptions import DependencyError

__all__ = ["CONFIRMED", "REASONS", "RUNS", "SCORES", "SORTS", "make_tables"]


_VERSION = 2

_tables = sa.MetaData()
_ledger_version = sa.Table("ledger_version", _tables, sa.Column("version", sa.Integer, primary_key=True))
RUNS = sa.Table(
    "score_runs",
    _tables,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("as_of", sa.String(32), nullable=False),  # ISO-8601 with offset: SQLite has no time with a zone
    sa.Column("scored_at", sa.String(32), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("bundle_sha256", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("horizon_days", sa.Integer, nullable=False),
    sa.Column("lead_days", sa.Integer, nullable=False),
    sa.Column("accounts", sa.Integer, nullable=False),
    sa.Index("score_runs_newest", "target", "as_of", "scored_at"),
)
CONFIRMED = sa.Table(
    "run_confirmed",
    _tables,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("score_runs.run_id"), primary_key=True),
    sa.Column("at", sa.String(32), primary_key=True),  # as scored_at of the run that said the same again
)
SCORES = sa.Table(
    "scores",
    _tables,
    sa.Column("run_id", sa.String(32), sa.ForeignKey("score_runs.run_id"), primary_key=True),
    sa.Column("account_id", sa.String(128), primary_key=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("probability", sa.Float(53)),
    sa.Column("band", sa.String(8)),
    sa.Column("margin", sa.Float(53)),
    sa.Column("base_margin", sa.Float(53)),
    sa.Column("mrr", sa.Float(53)),
    sa.Column("mrr_at_risk", sa.Float(53)),
    sa.Column("offer", sa.Boolean),  # since version 2
    sa.Column("name", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("segment", sa.Text),
)
REASONS = sa.Table(
    "reasons",
    _tables,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("account_id", sa.String(128), primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("contribution", sa.Float(53), nullable=False),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("actionable", sa.Boolean, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("features", sa.Text, nullable=False),  # JSON: name, value, contribution of each
)


def _largest_first(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Rows without the number come last; none of the numbers is negative."""
    return sa.func.coalesce(column, -1.0)


SORTS: Mapping[str, sa.ColumnElement[Any]] = {
    name: _largest_first(SCORES.c[name]) for name in ("mrr_at_risk", "probability", "mrr")
}
"""What accounts may be sorted by, the largest first; ties by account id."""

for _name, _sort in SORTS.items():
    sa.Index(f"scores_{_name}", SCORES.c.run_id, _sort.desc(), SCORES.c.account_id)


def make_tables(connection: sa.Connection, *, database: str) -> None:
    """Make the tables where they are not there yet, and bring those of an older version to this one.

    Raises
    ------
    DependencyError
        When they were written by a newer Bellwether.
    """
    _tables.create_all(connection)
    found = connection.execute(sa.select(_ledger_version.c.version)).scalars().first()
    if found is None:
        connection.execute(sqlite.insert(_ledger_version).values(version=_VERSION).on_conflict_do_nothing())
    elif found == 1:
        _add_offer(connection)
    elif found != _VERSION:
        raise DependencyError(
            f"The ledger {database} has schema version {found}, not {_VERSION}. "
            "Use the Bellwether that wrote it, or move the file away to begin another."
        )


def _add_offer(connection: sa.Connection) -> None:
    """From version 1 to 2, all or nothing; another process may have done it, or half of it, meanwhile."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins none by itself before a change of a table
    if SCORES.c.offer.name not in {column["name"] for column in sa.inspect(connection).get_columns(SCORES.name)}:
        connection.exec_driver_sql("ALTER TABLE scores ADD COLUMN offer BOOLEAN")
    connection.execute(sa.update(_ledger_version).values(version=_VERSION))
