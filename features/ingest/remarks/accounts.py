"""Compares the accounts that call with those of the record tables: matched, unmatched, orphaned."""

from collections.abc import Iterator, Mapping

import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.exceptions import counted

__all__ = ["CRM_TABLES", "account_ids", "matching_notes"]


CRM_TABLES = ("accounts", "subscriptions")
_NAMED = 5
_HAVE = {"accounts": "an account row", "subscriptions": "a subscription event"}


def account_ids(*tables: ir.Table) -> ir.Table:
    """One row per account of any of the tables."""
    ids = [table.select("account_id") for table in tables]
    return ids[0].union(*ids[1:], distinct=True) if ids[1:] else ids[0].distinct()


def matching_notes(
    engine: Engine, calling: ir.Table, known: Mapping[str, ir.Table], *, is_whole: bool
) -> Iterator[str]:
    """For each table of ``known`` how many accounts it shares with the log, and who is in one alone, five by name.

    All tables have one row per account. Nothing is said of a table without any account, or of an empty log; of a
    log that is not ``is_whole`` nobody can say who is missing in it.
    """
    callers = engine.count(calling)
    for name, table in known.items():
        total = engine.count(table)
        if not total or not callers:
            continue
        matched = engine.count(calling.semi_join(table, "account_id"))
        parts = [counted(matched, "account matched|accounts matched")]
        parts += _others(engine, calling.anti_join(table, "account_id"), callers - matched, "unmatched", "call", name)
        if is_whole:
            parts += _others(engine, table.anti_join(calling, "account_id"), total - matched, "orphaned", "have", name)
        if len(parts) > 1 or is_whole:
            yield f"{name} and events: {'; '.join(parts)}."


def _others(engine: Engine, accounts: ir.Table, count: int, what: str, side: str, name: str) -> list[str]:
    if not count:
        return []
    ids = [row["account_id"] for row in engine.to_arrow(accounts.order_by("account_id").limit(_NAMED)).to_pylist()]
    shown = ", ".join(ids) + (f" and {count - _NAMED:,} more" if count > _NAMED else "")
    why = f"call and do not have {_HAVE[name]}" if side == "call" else f"have {_HAVE[name]} and no call"
    return [f"{count:,} {what}, which {why}: {shown}"]
