"""Says since when the rows of a CRM are known: what is delivered again keeps its time, and no past row changes."""

from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.ingest.times import moment
from features.schema import ACCOUNTS, RawTable

__all__ = ["Dated", "content_of", "key_of", "known_since"]

_KEYS = ("subscription_id", "occurred_at", "kind")  # beside the account, of which a table has its own


@dataclass(frozen=True)
class Dated:
    """Arriving rows with the moment since which each is known.

    Attributes
    ----------
    rows
        Those that are new, and those whose file says when they became known.
    stored
        The stored rows that stay.
    overruled
        Rows that a later one of the same files takes back, and that are not known otherwise.
    corrections
        New rows that say something else than a stored one: they count from now on.
    first_heard
        Other new rows that do not say when they became known.
    """

    rows: ir.Table
    stored: ir.Table
    overruled: ir.Table
    corrections: int
    first_heard: int


def content_of(table: RawTable) -> list[str]:
    """The columns in which a row says something."""
    return [name for name in table.schema.names if name not in ("known_at", "source_order")]


def key_of(table: RawTable) -> list[str]:
    """The columns that two versions of one thing have in common."""
    return ["account_id", *(name for name in _KEYS if name in table.schema.names)]


def known_since(
    engine: Engine,
    arriving: ir.Table,
    stored: ir.Table,
    table: RawTable,
    *,
    now: datetime,
    overruled: ir.Table | None = None,
) -> Dated:
    """Arriving rows of a table, those that do not say when they became known (``by_clock``) dated.

    A row that was there before keeps its first ``known_at``, be it that its file says another one each night. Where
    account, subscription, time and kind are stored and the rest differs, it is a correction, known from now on; so is
    one that goes back to what was said before a correction. Rows of one time and kind that come together stand side by
    side: when one of them is new, the others become known with it once more, so that it corrects none of them. An
    account has one row: of those of the same files the last counts, by file and line. So a later ingest overrules an
    earlier one, and no past row changes.
    """
    content = content_of(table)
    if table is ACCOUNTS:
        arriving, overruled = _last_of_each(engine, arriving)
    if overruled is None:
        overruled = arriving.filter(ibis.literal(False))
    for known in (arriving, stored):
        overruled = overruled.anti_join(known, [overruled[name].identical_to(known[name]) for name in content])
    rows = engine.cache(_beside_what_was_said(arriving, stored, key_of(table), content))
    is_repeated = ibis.ifelse(rows.by_clock, ~rows.is_changed, rows.is_turn_repeated)
    versions = rows.filter(~is_repeated)
    is_correction = versions.by_clock & versions.is_key_stored
    # A clock that went back does not bring an older version back.
    after = ibis.greatest(moment(now), versions.newest + ibis.interval(microseconds=1))
    versions = versions.mutate(
        is_correction=is_correction, known_at=ibis.ifelse(is_correction, after, versions.known_at)
    )
    corrections, first_heard = (
        engine.count(versions.filter(versions.by_clock & chosen).select(content).distinct())
        for chosen in (versions.is_correction & ~versions.stands, ~versions.is_correction)
    )
    return Dated(
        versions.filter(~versions.is_stored).select(arriving.columns),
        versions.filter(versions.is_stored).select(arriving.columns),
        overruled,
        corrections,
        first_heard,
    )


def _beside_what_was_said(arriving: ir.Table, stored: ir.Table, key: list[str], content: list[str]) -> ir.Table:
    """Arriving and stored rows with what was said of the same thing, by rows that say when they became known.

    Returns
    -------
    Table
        The columns of ``arriving`` and ``is_stored``; ``newest``, when anything of the same key was known last;
        ``stands``, whether this was known then; ``is_changed``, whether what comes of the key now is something else;
        ``is_key_stored``; ``is_turn_repeated``, whether all that was known of the key when this was known had been
        known the time before.
    """
    nowhere = {name: ibis.null(kind) for name, kind in arriving.schema().items() if name not in stored.columns}
    before = stored.mutate(**nowhere | {"by_clock": ibis.literal(False)}).select(arriving.columns)
    rows = before.mutate(is_stored=ibis.literal(True)).union(arriving.mutate(is_stored=ibis.literal(False)))
    rows = rows.mutate(dated_at=ibis.ifelse(rows.by_clock, ibis.null(rows.known_at.type()), rows.known_at))
    of_content, of_key = ibis.window(group_by=content), ibis.window(group_by=key)
    rows = rows.mutate(last_said=rows.dated_at.max().over(of_content), newest=rows.dated_at.max().over(of_key))
    rows = rows.mutate(stands=(rows.last_said == rows.newest).fill_null(False))
    rows = rows.mutate(
        is_changed=(rows.by_clock & ~rows.stands).any().over(of_key),
        is_key_stored=rows.is_stored.any().over(of_key),
        turn=ibis.dense_rank().over(ibis.window(group_by=key, order_by=[rows.by_clock, rows.dated_at])),
    )
    earlier = ibis.range_window(group_by=content, order_by=rows.turn, preceding=(None, 1))
    rows = rows.mutate(is_again=(rows.turn - rows.turn.max().over(earlier) == 1).fill_null(False))
    return rows.mutate(is_turn_repeated=rows.is_again.all().over(ibis.window(group_by=[*key, "turn"])))


def _last_of_each(engine: Engine, arriving: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Account rows with the last of those of an account that do not say when they became known; and the others."""
    dated = arriving.filter(~arriving.by_clock)
    by_account = ibis.window(group_by="account_id", order_by=[ibis.desc("source_file"), ibis.desc("source_row")])
    undated = arriving.filter(arriving.by_clock)
    undated = engine.cache(undated.mutate(turn=ibis.row_number().over(by_account)))
    last = undated.filter(undated.turn == 0).drop("turn")
    return dated.union(last), undated.filter(undated.turn > 0).drop("turn")
