"""The score ledger: every run that was ever made, appended once, never changed."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from features.home.home import Home
from features.paths import sqlite_url
from features.storage.database import Database, DatabaseAwayError, Patience, give_id, settle
from features.storage.read_only import connected_to_read, is_read_only
from serving.ledger.failures import reported
from serving.ledger.runs import ScoredAccount, TargetRun
from serving.ledger.score_row import ScoreRow, columns
from serving.ledger.tables import CONFIRMED, REASONS, RUNS, SCORES, SORTS, make_tables, require_tables

__all__ = ["AccountRow", "Ledger", "RunHead", "open_ledger"]


_CHUNK = 5_000
_FIELDS = tuple(columns())
_values = attrgetter(*_FIELDS)


@dataclass(frozen=True)
class RunHead:
    """One run without its accounts."""

    run_id: str
    target: str
    as_of: datetime
    scored_at: datetime
    model: str
    version: str
    horizon_days: int
    lead_days: int
    accounts: int
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow(ScoreRow):
    """One account of a run, as a list shows it; ``sort_value`` is where the next page begins."""

    reason: str | None
    sort_value: float


class Ledger:
    """Append-only tables behind SQLAlchemy; made by :func:`open_ledger`."""

    def __init__(self, engine: sa.Engine, database: Database, patience: Patience) -> None:
        self._engine = engine
        self._database = database
        self._patience = patience
        self._lock = threading.Lock()

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self._database.path

    def append(self, run: TargetRun) -> bool:
        """Write a run with its scores and reasons, all or nothing; False when the ledger already holds it.

        A run it holds is not written again. Where another has been made of the same as-of since, as by a model that
        was champion in between, it is noted that this one holds again.

        Raises
        ------
        DependencyError
            When the database is away.
        """
        with self._connection() as connection:
            head = {
                "run_id": run.run_id,
                "target": run.target,
                "as_of": run.as_of.isoformat(),
                "scored_at": run.scored_at.isoformat(),
                "model": run.model,
                "version": run.version,
                "bundle_sha256": run.bundle_sha256,
                "fingerprint": run.fingerprint,
                "horizon_days": run.horizon_days,
                "lead_days": run.lead_days,
                "accounts": len(run.accounts),
                "rule": run.rule,
            }
            done = connection.execute(sqlite.insert(RUNS).values(head).on_conflict_do_nothing())
            if done.rowcount == 0:
                newest = connection.execute(_newest_first(run.target, RUNS.c.as_of == head["as_of"])).mappings().first()
                if newest is None or newest["run_id"] != run.run_id:
                    again = {"run_id": run.run_id, "at": head["scored_at"]}
                    connection.execute(sqlite.insert(CONFIRMED).values(again).on_conflict_do_nothing())
                return False
            for chunk in _chunks(run.accounts):
                connection.execute(sa.insert(SCORES), [_score_row(run.run_id, account) for account in chunk])
                if rows := [row for account in chunk for row in _reason_rows(run.run_id, account)]:
                    connection.execute(sa.insert(REASONS), rows)
        settle(self._database.path)
        return True

    def latest(self, target: str) -> RunHead | None:
        """The run with the newest as-of, the last made or confirmed among equals; None before the first."""
        return self._head(_newest_first(target))

    def before(self, target: str, as_of: datetime) -> RunHead | None:
        """The newest run of an earlier as-of, the last made or confirmed among equals; None before the first."""
        return self._head(_newest_first(target, RUNS.c.as_of < as_of.isoformat()))

    def probabilities(self, run_id: str) -> dict[str, float]:
        """Account to probability, of the accounts of a run that have a score."""
        query = sa.select(SCORES.c.account_id, SCORES.c.probability).where(
            SCORES.c.run_id == run_id, SCORES.c.probability.is_not(None)
        )
        with self._connection() as connection:
            return {account: float(probability) for account, probability in connection.execute(query)}

    def run(self, run_id: str) -> RunHead | None:
        """The run of this id, or None."""
        return self._head(sa.select(RUNS).where(RUNS.c.run_id == run_id))

    def page(
        self,
        run_id: str,
        *,
        sort: str,
        limit: int,
        after: tuple[float, str] | None = None,
        band: str | None = None,
        owner: str | None = None,
        segment: str | None = None,
    ) -> list[AccountRow]:
        """Scored accounts of a run, the largest first; ``after`` is the last row's sort value and account id."""
        key = SORTS[sort]
        condition = sa.and_(SCORES.c.run_id == run_id, SCORES.c.probability.is_not(None))
        for column, wanted in ((SCORES.c.band, band), (SCORES.c.owner, owner), (SCORES.c.segment, segment)):
            if wanted is not None:
                condition = sa.and_(condition, column == wanted)
        if after is not None:
            value, account = after
            condition = sa.and_(condition, sa.or_(key < value, sa.and_(key == value, SCORES.c.account_id > account)))
        top_reason = (
            sa.select(REASONS.c.text)
            .where(REASONS.c.run_id == SCORES.c.run_id, REASONS.c.account_id == SCORES.c.account_id)
            .order_by(REASONS.c.direction != "raises", REASONS.c.rank)  # why it is at risk, before why it is not
            .limit(1)
            .scalar_subquery()
        )
        query = (
            sa.select(*(SCORES.c[name] for name in _FIELDS), top_reason.label("reason"), key.label("sort_value"))
            .where(condition)
            .order_by(key.desc(), SCORES.c.account_id)
            .limit(limit)
        )
        with self._connection() as connection:
            return [AccountRow(**row) for row in connection.execute(query).mappings()]

    def later_than(self, as_of: datetime, *, scored_at: datetime) -> list[RunHead]:
        """The runs of a later as-of, and those that say they were made or confirmed later than ``scored_at``."""
        confirmed = sa.select(CONFIRMED.c.run_id).where(CONFIRMED.c.at > scored_at.isoformat())
        query = sa.select(RUNS).where(sa.or_(_is_later(as_of, scored_at), RUNS.c.run_id.in_(confirmed)))
        with self._connection() as connection:
            return [_run_head(row) for row in connection.execute(query).mappings()]

    def forget_later_than(self, as_of: datetime, *, scored_at: datetime) -> None:
        """Remove these runs with all that belongs to them, all or nothing: a clock was ahead when they were made.

        Of a run that was only confirmed later, the confirmation goes.
        """
        with self._connection() as connection:
            later = sa.select(RUNS.c.run_id).where(_is_later(as_of, scored_at))
            for table in (REASONS, SCORES, CONFIRMED):
                connection.execute(sa.delete(table).where(table.c.run_id.in_(later)))
            connection.execute(sa.delete(CONFIRMED).where(CONFIRMED.c.at > scored_at.isoformat()))
            connection.execute(sa.delete(RUNS).where(_is_later(as_of, scored_at)))

    def create(self) -> None:
        """Make the tables where they are not there yet.

        Raises
        ------
        DependencyError
            When the database is away, or was written by a newer Bellwether.
        """
        database = self._database
        with self._lock:
            if database.opened is not None:
                try:
                    state = database.look()
                except DatabaseAwayError:
                    if self._patience.is_left():
                        return
                    raise
                self._patience.restore()
                if state is database.opened:
                    return
                self._engine.dispose()  # written to, or another file: its connections may know old pages
                if state.is_file_of(database.opened):
                    database.opened = state
                    return
            with reported(self._engine):
                with self._engine.begin() as connection:
                    make_tables(connection, database=str(database.path))
                give_id(database.path)
            database.opened = database.look()
            database.look()  # with the journal that its connection has made

    def fault(self) -> DatabaseAwayError | None:
        """What is wrong with its file now, also while it still answers from the one that was opened."""
        return self._database.fault()

    def close(self) -> None:
        """Free the connections."""
        self._engine.dispose()

    def _head(self, query: sa.Select[Any]) -> RunHead | None:
        with self._connection() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return _run_head(row)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        self.create()
        with reported(self._engine), self._engine.begin() as connection:
            yield connection


class _UnwritableLedger(Ledger):
    """A ledger in a home that cannot be written: it is read as it is, and takes no run."""

    def append(self, run: TargetRun) -> bool:  # noqa: ARG002 - the signature is the ledger's
        """Write nothing."""
        return False

    def create(self) -> None:
        """Require the tables to be there; where there is no file, an empty ledger is read."""
        with self._connection():
            pass

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        check = require_tables if self.file.exists() else make_tables
        with reported(self._engine), self._engine.begin() as connection:
            check(connection, database=str(self.file))
            yield connection


def open_ledger(home: Home, *, patience_seconds: float = 0.0) -> Ledger:
    """The ledger of this home; its tables are made on first use.

    ``patience_seconds`` is how long it answers from a file that is still open while another takes its place.
    """
    database, patience = home.database(home.ledger), Patience(patience_seconds)
    if is_read_only(home.ledger):
        return _UnwritableLedger(_engine_that_reads(home.ledger), database, patience)

    def connect() -> sqlite3.Connection:
        # One that was there is never made again, empty, by who reads it.
        mode = "rwc" if database.opened is None else "rw"
        address = f"{home.ledger.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=10, check_same_thread=False)

    engine = sa.create_engine(sqlite_url(home.ledger), creator=connect)

    @sa.event.listens_for(engine, "connect")
    def _journal(connection: Any, _record: object) -> None:
        # Readers go on while a run is appended.
        connection.execute("PRAGMA journal_mode=WAL").close()
        connection.execute("PRAGMA synchronous=NORMAL").close()

    return Ledger(engine, database, patience)


def _engine_that_reads(file: Path) -> sa.Engine:
    if not file.exists():
        return sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    # Opened for each read: nobody tells a kept connection that the file was written on another machine.
    connect = partial(connected_to_read, file, timeout=10, check_same_thread=False)
    return sa.create_engine(sqlite_url(file), creator=connect, poolclass=sa.NullPool)


def _run_head(row: sa.RowMapping) -> RunHead:
    moments = {name: datetime.fromisoformat(row[name]).astimezone(UTC) for name in ("as_of", "scored_at")}
    return RunHead(**{field.name: row[field.name] for field in fields(RunHead)} | moments)


def _is_later(as_of: datetime, scored_at: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(RUNS.c.as_of > as_of.isoformat(), RUNS.c.scored_at > scored_at.isoformat())


def _newest_first(target: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The one newest run of a target: by as-of, then by when it was made or last confirmed."""
    confirmed = sa.select(sa.func.max(CONFIRMED.c.at)).where(CONFIRMED.c.run_id == RUNS.c.run_id).scalar_subquery()
    held_at = sa.func.max(RUNS.c.scored_at, sa.func.coalesce(confirmed, ""))  # of two values: SQLite's larger one
    query = sa.select(RUNS).where(RUNS.c.target == target, *conditions)
    return query.order_by(RUNS.c.as_of.desc(), held_at.desc()).limit(1)


def _chunks(accounts: Any) -> Iterable[Any]:
    return (accounts[start : start + _CHUNK] for start in range(0, len(accounts), _CHUNK))


def _score_row(run_id: str, account: ScoredAccount) -> dict[str, object]:
    return {"run_id": run_id, **dict(zip(_FIELDS, _values(account), strict=True))}


_encode: Callable[[object], str] = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def _reason_rows(run_id: str, account: ScoredAccount) -> Iterator[dict[str, object]]:
    for rank, reason in enumerate(account.reasons, start=1):
        yield {
            "run_id": run_id,
            "account_id": account.account_id,
            "rank": rank,
            "code": reason.code,
            "contribution": reason.contribution,
            "direction": reason.direction,
            "actionable": reason.actionable,
            "text": reason.text,
            "features": _encode([share._asdict() for share in reason.features]),
        }
