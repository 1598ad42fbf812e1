"""Matching: whether the record tables and the calls speak of the same accounts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import ibis

from features.checks.section import Inspection, Section, engine_of, percent
from features.engine import Engine
from features.examination import Finding
from features.exceptions import listed
from features.raw import read_raw
from features.rollup import read_rollup
from features.windows import known_before

__all__ = ["Match", "look_at_matching"]

_MUCH, _MOST = 0.05, 0.25  # of the accounts that call, those a table lacks
_STRANGE = 0.5  # of the accounts of a table, those that never called
_TABLES: tuple[Literal["accounts", "subscriptions", "touchpoints"], ...] = ("accounts", "subscriptions", "touchpoints")


@dataclass(frozen=True)
class Match:
    """The ids of one record table beside those that ever called, as known at the cutoff.

    Attributes
    ----------
    unmatched
        Accounts that call and are not in the table.
    orphaned
        Accounts of the table that never called.
    """

    table: str
    matched: int
    unmatched: tuple[str, ...]
    orphaned: tuple[str, ...]

    @property
    def lacking(self) -> float:
        """Share of the calling accounts that the table lacks."""
        return len(self.unmatched) / (self.matched + len(self.unmatched)) if self.unmatched else 0.0

    @property
    def silent(self) -> float:
        """Share of the table's accounts that never called."""
        return len(self.orphaned) / (self.matched + len(self.orphaned)) if self.orphaned else 0.0

    @property
    def near(self) -> list[str]:
        """Pairs of an unmatched and an orphaned id that differ only in case."""
        folded = {one.lower(): one for one in self.orphaned}
        return [f"{one} / {folded[one.lower()]}" for one in self.unmatched if one.lower() in folded]


def look_at_matching(inspection: Inspection) -> Section:
    """One row per record table that is there."""
    with engine_of(inspection.settings) as engine:
        calling = _calling(engine, inspection)
        found = [match(name, calling, ids) for name in _TABLES if (ids := _ids(engine, inspection, name))]
    rows = tuple(
        {
            "table": one.table,
            "matched": one.matched,
            "unmatched": len(one.unmatched),
            "orphaned": len(one.orphaned),
            "for example": _examples(one),
        }
        for one in found
    )
    note = "Unmatched: they call and the table lacks them. Orphaned: the table has them and they never called."
    return Section(rows, tuple(_findings(found)), note=note)


def _examples(one: Match) -> str:
    sides = {"unmatched": one.unmatched, "orphaned": one.orphaned}
    return "; ".join(f"{side} {listed(ids)}" for side, ids in sides.items() if ids)


def match(table: str, calling: set[str], ids: set[str]) -> Match:
    """Compare two sets of ids.

    >>> match("accounts", {"a", "b"}, {"b", "c"})
    Match(table='accounts', matched=1, unmatched=('a',), orphaned=('c',))
    """
    return Match(table, len(calling & ids), tuple(sorted(calling - ids)), tuple(sorted(ids - calling)))


def _calling(engine: Engine, inspection: Inspection) -> set[str]:
    usage = read_rollup(engine, inspection.settings, "usage")
    known = usage.filter(usage.visible_from <= ibis.literal(inspection.cutoff.date()))
    return set(engine.to_arrow(known.select("account_id").distinct())["account_id"].to_pylist())


def _ids(engine: Engine, inspection: Inspection, name: Literal["accounts", "subscriptions", "touchpoints"]) -> set[str]:
    rows = read_raw(engine, inspection.settings, name)
    closed = known_before(inspection.cutoff, grace_hours=inspection.settings.grace_hours)
    known = rows.filter(rows.known_at.isnull() | (rows.known_at < ibis.literal(closed, type="timestamp('UTC', 6)")))
    return set(engine.to_arrow(known.select("account_id").distinct())["account_id"].to_pylist())


def _findings(found: list[Match]) -> Iterator[Finding]:
    for one in found:
        # Nobody is bound to have a ticket; everybody has an account and what was sold to it.
        if one.lacking >= _MUCH and one.table != "touchpoints":
            calling = one.matched + len(one.unmatched)
            yield Finding(
                f"{one.table} lack {len(one.unmatched):,} of the {calling:,} accounts that call "
                f"({percent(one.lacking)}): {listed(one.unmatched)}. {_EFFECT[one.table]}{_near(one)}",
                "Look whether the export leaves some out, or writes their ids otherwise than the log does.",
                is_remark=one.lacking < _MOST,
            )
        if one.silent >= _STRANGE:
            of = one.matched + len(one.orphaned)
            yield Finding(
                f"{len(one.orphaned):,} of the {of:,} accounts of {one.table} ({percent(one.silent)}) never called: "
                f"{listed(one.orphaned)}.{_near(one)}",
                "If they are customers, their calls are missing or come under other ids: compare them with the log's.",
                is_remark=True,
            )


_EFFECT = {
    "accounts": "They have no name, owner or age.",
    "subscriptions": "They have no plan and no revenue, and nobody can foretell their churn.",
}


def _near(one: Match) -> str:
    return f" {len(one.near)} differ from an orphaned id only in case: {listed(one.near)}." if one.near else ""
