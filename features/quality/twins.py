"""Twins: account ids that may be one customer, told by how they are spelt, by their records and by their calls."""

from collections.abc import Iterable, Iterator

import ibis
import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.engine.functions import microseconds_since_epoch
from features.examination import Finding
from features.exceptions import counted, listed

__all__ = ["equal_traces", "same_names", "twin_findings", "unlike_in_case"]


_MICROSECONDS_A_DAY = 86_400_000_000
_GROUPS = "group of account ids|groups of account ids"
_HAVE = "group of account ids has|groups of account ids have"
_CALL_TIMES, _RECORD_TIMES = 5, 2  # different times of day that no two customers share by chance


def unlike_in_case(ids: Iterable[str]) -> list[list[str]]:
    """Ids that differ only in upper and lower case, put together.

    >>> unlike_in_case({"acme", "Acme", "other"})
    [['Acme', 'acme']]
    """
    folded: dict[str, list[str]] = {}
    for account in sorted(ids):
        folded.setdefault(account.lower(), []).append(account)
    return [alike for alike in folded.values() if len(alike) > 1]


def same_names(accounts: ir.Table) -> ir.Table:
    """Account rows of one name and ``created_at`` under several ids: one row per group, with its ``ids``."""
    named = accounts.filter(accounts.name.notnull(), accounts.created_at.notnull())
    customers = named.select("account_id", "created_at", name=named.name.strip().lower()).distinct()
    return _together(customers, "name", "created_at")


def equal_traces(rows: ir.Table, *, moment: str, times_of_day: int) -> ir.Table:
    """Accounts all of whose rows are equal in every other column: one row per group, with its ``ids``.

    Looked at are accounts whose ``moment`` lies at so many different times of day at least: what a batch writes at
    midnight tells nobody apart.
    """
    at = rows[moment]
    outline = {"rows": rows.count(), "first": at.min(), "last": at.max()}
    times = (microseconds_since_epoch(at) % _MICROSECONDS_A_DAY).nunique()
    outlines = rows.group_by("account_id").agg(**outline, times=times)
    outlines = outlines.filter(outlines.times >= times_of_day)
    shared = outlines.group_by(*outline).agg(accounts=outlines.count())
    shared = shared.filter(shared.accounts > 1)
    near = rows.semi_join(outlines.semi_join(shared, list(outline)), "account_id")
    columns = [near[name].cast("string").fill_null("") for name in near.columns if name != "account_id"]
    row = ibis.literal("|").join(columns)
    traces = near.group_by("account_id").agg(trace=row.group_concat(";", order_by=row))
    return _together(traces, "trace")


def _together(accounts: ir.Table, *keys: str) -> ir.Table:
    groups = accounts.group_by(*keys).agg(ids=accounts.account_id.collect(order_by=accounts.account_id))
    return groups.filter(groups.ids.length() > 1).select("ids").order_by("ids")


def twin_findings(
    engine: Engine, ids: Iterable[str], *, calls: ir.Table, days: int, accounts: ir.Table, subscriptions: ir.Table
) -> Iterator[Finding]:
    """What is told of ids that may be one customer; ``calls`` has a row per account and day, of so many days."""
    alike = unlike_in_case(ids)
    if alike:
        count = counted(len(alike), "group of account ids differs|groups of account ids differ")
        yield Finding(
            f"{count} only in case: {_shown(alike)}. Each id is an account of its own.",
            'If they are one customer, map the ids to one spelling, as account_id = { expression = "lower(account)" }, '
            "and load all files into a new home.",
            is_remark=True,
        )
    looks = [
        (_HAVE, "the same name and created_at in accounts", same_names(accounts)),
        (
            _HAVE,
            "equal rows in subscriptions",
            equal_traces(subscriptions.drop("subscription_id"), moment="occurred_at", times_of_day=_RECORD_TIMES),
        ),
        (
            _GROUPS,
            f"made equal calls, day by day, in the last {days} days",
            equal_traces(calls, moment="first_call", times_of_day=_CALL_TIMES),
        ),
    ]
    for nouns, what, groups in looks:
        twins = engine.to_arrow(groups)["ids"].to_pylist()
        if twins:
            yield Finding(
                f"{counted(len(twins), nouns)} {what}: {_shown(twins)}. If that is one customer, it counts twice.",
                "If so, leave one id out of the export or map both ids to one, and load all files into a new home.",
                is_remark=True,
            )


def _shown(groups: list[list[str]]) -> str:
    return listed(" / ".join(ids[:5]) for ids in groups)
