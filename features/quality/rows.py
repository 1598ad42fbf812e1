"""Row counts: whether every group has one row for each account, and no account was lost since the cutoff before."""

from collections.abc import Iterator

import pyarrow.compute as pc

from features.examination import Finding
from features.exceptions import counted, listed
from features.offline.files import JOIN_KEY, group_at
from features.quality.section import Inspection, Section

__all__ = ["look_at_rows"]


_TIMES = 2  # as many accounts as at the cutoff before
_FEW = 50  # accounts: a company so small may well double


def look_at_rows(inspection: Inspection) -> Section:
    """One row per group: its accounts at the cutoff, and at the one before."""
    store = inspection.home.stores.features
    catalog = inspection.home.catalog
    groups = catalog.groups
    ids = {group: group_at(store, group, inspection.cutoff, catalog)[JOIN_KEY].to_pylist() for group in groups}
    previous = inspection.before[-1] if inspection.before else None
    earlier = {
        group: [] if previous is None else group_at(store, group, previous, catalog)[JOIN_KEY].to_pylist()
        for group in groups
    }
    rows = tuple(
        {
            "group": group,
            "rows": len(accounts),
            "rows before": None if previous is None else len(earlier[group]),
            "cutoff before": None if previous is None else previous.date(),
        }
        for group, accounts in ids.items()
    )
    day = inspection.cutoff.date()
    again = f"Run `bellwether features build --from {day} --to {day}` again; if it stays so, report it."
    findings = [*_repeated(ids, again), *_uneven(ids, again)]
    if previous is not None:
        findings += _changed(set(ids[groups[0]]), set(earlier[groups[0]]), f"{previous:%Y-%m-%d}")
    if not ids[groups[0]]:
        findings.append(Finding("There is not one account.", "Ingest events, then run `bellwether features build`."))
    return Section(rows, tuple(findings))


def _repeated(ids: dict[str, list[str]], again: str) -> Iterator[Finding]:
    for group, accounts in ids.items():
        counts = pc.value_counts(accounts) if accounts else []
        twice = sorted(entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1)
        if twice:
            who = counted(len(twice), "account has|accounts have")
            yield Finding(f"{who} more than one row in {group}: {listed(twice)}.", again)


def _uneven(ids: dict[str, list[str]], again: str) -> Iterator[Finding]:
    everybody = set().union(*ids.values())
    for group, accounts in ids.items():
        missing = sorted(everybody.difference(accounts))
        if missing:
            yield Finding(f"{len(missing)} of {len(everybody)} accounts lack {group}: {listed(missing)}.", again)


def _changed(now: set[str], before: set[str], day: str) -> Iterator[Finding]:
    lost = sorted(before - now)
    if lost:
        yield Finding(
            f"{len(lost):,} of the {len(before):,} accounts of {day} have no row any more: {listed(lost)}. An account "
            "keeps its row after it has left.",
            "A store was replaced or restored in between: load what is missing, then build again.",
        )
    if len(before) >= _FEW and len(now) >= _TIMES * len(before):
        yield Finding(
            f"There are {len(now):,} accounts, and were {len(before):,} at {day}.",
            "If so many did not sign up, account ids changed their form: look at the mapping of account_id.",
            is_remark=True,
        )
