"""Diagnoses the accounts of one cutoff: what is wrong there, since when, and what to do next."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from features.analytics.diagnosis_counts import DiagnosisCounts, daily_counts_of, diagnosis_counts
from features.definitions.catalog import NEWEST_SERVICE
from features.feature_store.store import open_store
from features.home.home import Home
from features.text_table import printable
from serving.routine.batch import feature_columns
from serving.scoring.accounts import built_accounts
from serving.scoring.diagnosis import named_findings
from serving.scoring.findings import Finding, findings_of
from serving.scoring.signs import signs
from serving.scoring.since import with_since

__all__ = ["diagnosed", "diagnosis_lines", "diagnosis_of"]


_INDENT = "     "


def diagnosed(
    home: Home,
    cutoff: datetime,
    account_ids: Sequence[str],
    columns: Mapping[str, NDArray[Any]],
    accounts: Sequence[str],
) -> dict[str, list[Finding]]:
    """The findings of some accounts with their starts, from the rollups as known at the cutoff and its features.

    Every test measures an account against all others, so the whole company is counted, whoever is asked about.

    Parameters
    ----------
    account_ids, columns
        Everybody at the cutoff: feature to its values, one per account.
    accounts
        Whose findings are wanted.
    """
    counts = diagnosis_counts(home, cutoff)
    wanted = set(accounts)
    named = named_findings(counts, signs(account_ids, columns))
    named = named[named.account_id.isin(wanted)].reset_index(drop=True)
    daily = daily_counts_of(home, cutoff, accounts, given_up=_given_up(counts, named))
    return findings_of(with_since(named, daily, cutoff), counts, accounts)


def diagnosis_of(home: Home, account: str, cutoff: datetime) -> list[Finding]:
    """One account's findings at a built cutoff; empty where nothing unusual was found."""
    with home.snapshot() as steady:
        accounts = built_accounts(steady, cutoff)
        columns = feature_columns(steady, open_store(steady), NEWEST_SERVICE, accounts, cutoff)
        return diagnosed(steady, cutoff, accounts, columns, [account])[account]


def diagnosis_lines(findings: Sequence[Finding]) -> list[str]:
    """The findings for the terminal: what is wrong, since when, and what to do next."""
    if not findings:
        return ["  What is wrong here: nothing unusual found."]
    lines = ["  What is wrong here"]
    for place, finding in enumerate(findings, start=1):
        since = "" if finding.since is None else f" Since {finding.since:%Y-%m-%d}."
        lines += [f"  {place}. {finding.text}{since}", f"{_INDENT}Next: {finding.next_step}"]
    return [printable(line) for line in lines]


def _given_up(counts: DiagnosisCounts, named: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Account, method and endpoint of what accounts have given up that are named for it."""
    narrowing = named[named.kind == "endpoints"][["account_id", "days"]]
    endpoints = counts.endpoints.merge(narrowing, on="account_id")
    return [
        (row["account_id"], row["method"], row["endpoint"])
        for row in endpoints[endpoints.earlier_ok > 0].to_dict("records")
        if row[f"ok_{row['days']:.0f}d"] == 0
    ]
