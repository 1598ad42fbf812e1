"""Matching: whether the record tables and the calls speak of the same accounts."""

from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.examination import Finding
from features.exceptions import listed
from features.home.raw_tables import RecordTable, read_raw, read_records
from features.quality.section import Inspection, Section, engine_of
from features.quality.twins import twin_findings
from features.rollup.count import read_rollup
from features.schema import SUBSCRIPTIONS
from features.shares import percent
from features.subscriptions.remarks import remarks_on
from features.windows import DAY, known_before

__all__ = ["Match", "look_at_matching"]


_MUCH, _MOST = 0.05, 0.25  # of the accounts that call, those a table lacks
_LATE_DAYS = 91
_STRANGE = 0.5  # of the accounts of a table, those that never called
_TABLES: tuple[RecordTable, ...] = ("accounts", "subscriptions", "touchpoints")


@dataclass(frozen=True)
class Match:
    """The ids of one record table beside those that call, as known at the cutoff.

    Attributes
    ----------
    matched
        Accounts of the table that ever called.
    calling
        How many accounts called in the last 91 days.
    unmatched
        Those of them that are not in the table. Who stopped long ago may have left the table too.
    orphaned
        Accounts of the table that never called.
    """

    table: str
    matched: int
    calling: int
    unmatched: tuple[str, ...]
    orphaned: tuple[str, ...]

    @property
    def lacking(self) -> float:
        """Share of the accounts that called in the last 91 days that the table lacks."""
        return len(self.unmatched) / self.calling if self.unmatched else 0.0

    @property
    def silent(self) -> float:
        """Share of the table's accounts that never called."""
        return len(self.orphaned) / (self.matched + len(self.orphaned)) if self.orphaned else 0.0


def look_at_matching(inspection: Inspection) -> Section:
    """How the accounts of each record table match those that call, one row per table."""
    with engine_of(inspection.home) as engine:
        called, calling = (_callers(engine, inspection, days) for days in (None, _LATE_DAYS))
        of_tables = {name: _ids(engine, inspection, name) for name in _TABLES}
        tallies = [match(name, called, ids, calling=calling) for name, ids in of_tables.items() if ids]
        twins = list(
            twin_findings(
                engine,
                called.union(*of_tables.values()),
                calls=_daily_calls(_usage(engine, inspection, _LATE_DAYS)),
                days=_LATE_DAYS,
                accounts=_known(engine, inspection, "accounts"),
                subscriptions=_known(engine, inspection, "subscriptions").drop("known_at", "source_order"),
            )
        )
    rows = tuple(
        {
            "table": tally.table,
            "matched": tally.matched,
            "unmatched": len(tally.unmatched),
            "orphaned": len(tally.orphaned),
            "for example": _examples(tally),
        }
        for tally in tallies
    )
    unmatched = f"Unmatched: they called in the last {_LATE_DAYS} days and the table lacks them."
    note = f"{unmatched} Orphaned: the table has them and they never called."
    findings = (*_findings(tallies), *twins, *_several_subscriptions(inspection))
    return Section(rows, findings, note=note)


def _examples(tally: Match) -> str:
    sides = {"unmatched": tally.unmatched, "orphaned": tally.orphaned}
    return "; ".join(f"{side} {listed(ids)}" for side, ids in sides.items() if ids)


def match(table: str, called: set[str], ids: set[str], *, calling: set[str]) -> Match:
    """Compare ids with those that ever called and with those that still do.

    >>> match("accounts", {"a", "b", "left"}, {"b", "c"}, calling={"a", "b"})
    Match(table='accounts', matched=1, calling=2, unmatched=('a',), orphaned=('c',))
    """
    return Match(table, len(called & ids), len(calling), tuple(sorted(calling - ids)), tuple(sorted(ids - called)))


def _usage(engine: Engine, inspection: Inspection, days: int | None) -> ir.Table:
    """The daily calls known at the cutoff, of so many days before it, or of all."""
    usage = read_rollup(engine, inspection.home, "usage")
    known = usage.filter(usage.visible_from <= ibis.literal(inspection.cutoff.date()))
    if days is not None:
        known = known.filter(known.event_day >= ibis.literal((inspection.cutoff - days * DAY).date()))
    return known


def _daily_calls(usage: ir.Table) -> ir.Table:
    return usage.group_by("account_id", "event_day").agg(
        calls=usage.calls.sum(),
        ok=usage.ok.sum(),
        first_call=usage.min_event_time.min(),
        last_call=usage.max_event_time.max(),
    )


def _callers(engine: Engine, inspection: Inspection, days: int | None) -> set[str]:
    """Accounts that called in so many days before the cutoff, or ever."""
    known = _usage(engine, inspection, days)
    return set(engine.to_arrow(known.select("account_id").distinct())["account_id"].to_pylist())


def _known(engine: Engine, inspection: Inspection, name: RecordTable) -> ir.Table:
    """The rows of a record table that were known at the cutoff."""
    rows = read_raw(engine, inspection.home, name)
    closed = known_before(inspection.cutoff, grace_hours=inspection.home.settings.grace_hours)
    return rows.filter(rows.known_at.isnull() | (rows.known_at < ibis.literal(closed, type="timestamp('UTC', 6)")))


def _ids(engine: Engine, inspection: Inspection, name: RecordTable) -> set[str]:
    known = _known(engine, inspection, name)
    return set(engine.to_arrow(known.select("account_id").distinct())["account_id"].to_pylist())


def _several_subscriptions(inspection: Inspection) -> Iterator[Finding]:
    """Accounts whose rows do not tell their subscriptions apart."""
    rows = read_records(inspection.home, SUBSCRIPTIONS).to_pandas()
    settings = inspection.home.settings
    closed = known_before(inspection.cutoff, grace_hours=settings.grace_hours)
    known = rows[(rows["known_at"] < closed) & (rows["occurred_at"] < inspection.cutoff)]
    for remark in remarks_on(known, reactivation_days=settings.reactivation_days):
        yield Finding(remark.what, remark.remedy, is_remark=True)


def _findings(tallies: list[Match]) -> Iterator[Finding]:
    for tally in tallies:
        # Nobody is bound to have a ticket; everybody has an account and what was sold to it.
        if tally.lacking >= _MUCH and tally.table != "touchpoints":
            yield Finding(
                f"{tally.table} lack {len(tally.unmatched):,} of the {tally.calling:,} accounts that call "
                f"({percent(tally.lacking)}): {listed(tally.unmatched)}. {_EFFECT[tally.table]}",
                "Look whether the export leaves some out, or writes their ids otherwise than the log does.",
                is_remark=tally.lacking < _MOST,
            )
        if tally.silent >= _STRANGE:
            of = tally.matched + len(tally.orphaned)
            yield Finding(
                f"{len(tally.orphaned):,} of the {of:,} accounts of {tally.table} ({percent(tally.silent)}) never "
                f"called: {listed(tally.orphaned)}.",
                "If they are customers, their calls are missing or come under other ids: compare them with the log's.",
                is_remark=True,
            )


_EFFECT = {
    "accounts": "They have no name, owner or age.",
    "subscriptions": "They have no plan and no revenue, and nobody can foretell their churn.",
}
