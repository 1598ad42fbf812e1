"""The tables of the score ledger, and how they came to be what they are."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from features.exceptions import DependencyError, listed
from serving.ledger.score_row import ScoreRow, columns

__all__ = ["CONFIRMED", "REASONS", "RUNS", "SCORES", "SORTS", "make_tables", "require_tables", "score_columns"]


_RULE_SINCE = 3  # version of the ledger whose runs first said which rule answered
_VERSION = max(_RULE_SINCE, *(column.since for column in columns().values()))
_OLDER_VERSIONS = range(1, _VERSION)


def score_columns(row: type[ScoreRow] = ScoreRow) -> list[sa.Column[Any]]:
    """The columns of the scores, one for each field of a row."""
    types = get_type_hints(row)
    return [
        sa.Column(name, layout.sql, primary_key=name == "account_id", nullable=NoneType in get_args(types[name]))
        for name, layout in columns(row).items()
    ]


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
    sa.Column("rule", sa.Text),  # in words; null where a model answered
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
    *score_columns(),
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
        When they were written by a newer Bellwether, or the database is another than a ledger.
    """
    present = set(sa.inspect(connection).get_table_names())
    if present and present.isdisjoint(_tables.tables):
        raise DependencyError(
            f"{database} is no ledger: it holds {listed(sorted(present))}. Restore the ledger from a backup, or move "
            "this file away: the next score run begins an empty one."
        )
    _tables.create_all(connection)
    version = connection.execute(sa.select(_ledger_version.c.version)).scalars().first()
    if version is None:
        connection.execute(sqlite.insert(_ledger_version).values(version=_VERSION).on_conflict_do_nothing())
    elif version in _OLDER_VERSIONS:
        _add_columns(connection)
    elif version != _VERSION:
        raise _of_another_version(database, version)


def require_tables(connection: sa.Connection, *, database: str) -> None:
    """Go on only when the tables are there and can be read as this version's; changes nothing in the file.

    What an older version had not, this connection sees as tables without rows and columns without values.

    Raises
    ------
    DependencyError
        When they are not there, or were written by a newer Bellwether.
    """
    version = connection.execute(sa.select(_ledger_version.c.version)).scalars().first()
    if version in _OLDER_VERSIONS:
        _cover_what_is_lacking(connection)
    elif version != _VERSION:
        raise _of_another_version(database, version)


def _of_another_version(database: str, version: int | None) -> DependencyError:
    remedy = (
        f"Run `bellwether doctor --repair` where {database} can be written: it brings it to this version."
        if version is None
        else "Use the Bellwether that wrote it, or move the file away to begin another."
    )
    return DependencyError(f"The ledger {database} has schema version {version}, not {_VERSION}. {remedy}")


def _add_columns(connection: sa.Connection) -> None:
    """From an older version to this one, all or nothing; another process may have done it, or half of it, meanwhile."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins none by itself before a change of a table
    for table in (RUNS, SCORES):
        present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.c:
            if column.name not in present:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
    connection.execute(sa.update(_ledger_version).values(version=_VERSION))


def _cover_what_is_lacking(connection: sa.Connection) -> None:
    """Lay views of this connection's own, kept in memory, over the tables of an older version."""
    connection.exec_driver_sql("PRAGMA temp_store = MEMORY")
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    for table in _tables.sorted_tables:
        written = {column["name"] for column in inspector.get_columns(table.name)} if table.name in present else set()
        lacking = [f"NULL AS {column.name}" for column in table.c if column.name not in written]
        if written and lacking:
            shown = f"SELECT *, {', '.join(lacking)} FROM main.{table.name}"  # noqa: S608 - names of ours
        elif lacking:
            shown = f"SELECT {', '.join(lacking)} LIMIT 0"
        else:
            continue
        connection.exec_driver_sql(f"CREATE TEMP VIEW {table.name} AS {shown}")
