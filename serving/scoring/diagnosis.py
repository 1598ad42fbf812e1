"""What is wrong with an account: one test per family, which knows how many calls there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from features.analytics.diagnosis_counts import DiagnosisCounts
from features.analytics.endpoint_calls import EARLIER_DAYS, RECENT_DAYS, WINDOWS
from serving.scoring.tails import fewer_than_expected, least_ratio, least_shortfall, more_than_expected

__all__ = ["LARGEST_TAIL", "LEAST_EFFECT", "SYMPTOMS", "TESTS", "Findings", "named_findings"]

Floats = NDArray[np.float64]

LARGEST_TAIL = 0.01
"""A finding is named only when chance alone would show as much in at most one of a hundred accounts."""

LEAST_EFFECT = 1.25
"""And only when the lower 80 % bound of its effect is at least so many times what is usual."""

SYMPTOMS = ("silence", "usage_trend")
"""Families that show that use falls, and not why: they come after the causes."""

_USUAL_SLOW_SHARE = 0.05  # by the meaning of a 95th percentile
_FEWEST_EARLIER_CALLS = 30
_LEAST_SHARE = 0.2
_GOOD_PART, _LEAST_ON_ONE = 0.15, 3.0  # of an account's calls; times the usual share of slow ones on one endpoint
_FEWEST_WEEKS = 6
_RECENT_WEEKS, _EARLIER_WEEKS = RECENT_DAYS // 7, EARLIER_DAYS // 7
_NORMAL_BOUND = float(stats.norm.ppf(0.8))


@dataclass(frozen=True)
class Findings:
    """The findings of one test, one row per account that has one.

    Attributes
    ----------
    rows
        ``account_id``; ``tail``, how probable as much is by chance; ``effect``, how many times what is usual;
        ``bad``, ``calls`` and ``expected``: so many of so many calls, where this is usual. What else a sentence needs
        stands beside.
    """

    family: str
    kind: str
    rows: pd.DataFrame


def failures(counts: DiagnosisCounts, family: str, kind: str, column: str) -> Findings:
    """Accounts whose calls fail more often than those of all others on the same endpoints."""
    of_account = counts.endpoints.groupby("account_id", sort=True)[["answered", column, f"expected_{column}"]].sum()
    calls, bad, expected = (of_account[name].to_numpy(np.float64) for name in of_account.columns)
    return _larger_share(family, kind, of_account.index, bad, calls, expected)


def slow_answers(counts: DiagnosisCounts) -> Findings:
    """Accounts of whose calls more are slow than the slowest 5 % of each endpoint, or than everybody's are now.

    All calls of the account are tested together, and each endpoint that makes a good part of them: what is slow on one
    is little among many. Its tail is multiplied by the number of endpoints (Bonferroni).
    """
    slow = counts.slow
    everybody = slow.slow_calls.sum() / slow.timed_calls.sum() if slow.timed_calls.sum() else 0.0
    chance = max(_USUAL_SLOW_SHARE, everybody)
    by_account = slow.groupby("account_id", sort=True)[["timed_calls", "slow_calls"]]
    of_account = by_account.sum().astype(np.float64)
    calls, bad = of_account.timed_calls.to_numpy(), of_account.slow_calls.to_numpy()
    rows = _tested(of_account.index, bad, calls, calls * chance)
    all_calls = by_account.transform("sum").timed_calls
    many = slow[slow.timed_calls >= _GOOD_PART * all_calls]
    on_one, of = (many[name].to_numpy(np.float64) for name in ("slow_calls", "timed_calls"))
    endpoints = by_account.transform("size")[many.index].to_numpy(np.float64)
    tail = more_than_expected(on_one, of, chance) * endpoints
    is_slow = (tail <= LARGEST_TAIL) & (least_ratio(on_one, of, chance) >= _LEAST_ON_ONE)
    is_named = rows.account_id.isin(set(many.account_id[is_slow])) | _is_named(rows)
    return Findings("latency", "slow", rows[is_named].reset_index(drop=True))


def given_up_endpoints(counts: DiagnosisCounts) -> Findings:
    """Accounts that use fewer different endpoints than their own earlier mix lets expect of so many calls.

    The expectation is rarefied (Hurlbert 1971): an endpoint with the share ``p`` of the earlier successful calls is
    missing among ``n`` with the probability ``(1 - p) ** n``. Of several windows that of the largest effect counts,
    of equal ones the longest.
    """
    endpoints = counts.endpoints
    earlier = endpoints.earlier_ok.groupby(endpoints.account_id).transform("sum")
    known = endpoints.assign(share=endpoints.earlier_ok / earlier.where(earlier > 0))
    known = known[(known.earlier_ok > 0) & (earlier >= _FEWEST_EARLIER_CALLS)]
    rows = _together([_given_up(endpoints, known, days) for days in WINDOWS])
    rows = rows.assign(size=rows.effect.round(1)).sort_values(["account_id", "size", "days"], kind="stable")
    return Findings("breadth", "endpoints", rows.groupby("account_id", sort=True).tail(1).reset_index(drop=True))


def _given_up(endpoints: pd.DataFrame, known: pd.DataFrame, days: int) -> pd.DataFrame:
    calls = endpoints.groupby("account_id")[f"ok_{days}d"].sum()
    made = known.account_id.map(calls).to_numpy(np.float64)
    use = known.assign(calls=made, missing=(1 - known.share) ** made, is_missing=known[f"ok_{days}d"] == 0)
    use = use[use.calls > 0]
    use["variance"] = use.missing * (1 - use.missing)
    rows = use.groupby("account_id", sort=True).agg(
        before=("share", "size"),
        missing=("is_missing", "sum"),
        expected_missing=("missing", "sum"),
        variance=("variance", "sum"),
        calls=("calls", "first"),
    )
    expected, used = rows.before - rows.expected_missing, (rows.before - rows.missing).clip(lower=1)
    rows = rows.assign(effect=expected / used, expected=expected, used=rows.before - rows.missing, days=days)
    rows = rows[(expected - _NORMAL_BOUND * np.sqrt(rows.variance)) / used >= LEAST_EFFECT]
    chances = use[use.account_id.isin(rows.index)].groupby("account_id", sort=True).missing
    tails = [stats.poisson_binom.sf(rows.missing[account] - 1, chance.to_list()) for account, chance in chances]
    rows = rows.assign(tail=np.array(tails, dtype=np.float64))
    unlikely: pd.DataFrame = rows[rows["tail"] <= LARGEST_TAIL].reset_index()
    return unlikely


def lost_people(counts: DiagnosisCounts) -> Findings:
    """Accounts of whose calls a user or a token made a fifth or more, and none since, while others went on."""
    parts = []
    for kind, people in counts.people.items():
        share = people.calls / people.calls_of_all
        tail = np.exp(people.calls_since * np.log1p(-share.clip(upper=1 - 1e-12)))
        rows = people.assign(kind=kind, share=share, tail=tail, effect=1 / (1 - share.clip(upper=0.99)))
        parts.append(rows[(share >= _LEAST_SHARE) & (tail <= LARGEST_TAIL)].drop(columns=rows.columns[1]))
    # A user has a token: of both the user is named, who is somebody.
    rows = _together(parts)
    rows = rows.assign(is_user=rows.kind == "user").sort_values(["account_id", "is_user", "share"], kind="stable")
    return Findings("people", "person", rows.groupby("account_id", sort=True).tail(1).reset_index(drop=True))


def falling_use(counts: DiagnosisCounts) -> Findings:
    """Accounts that call less in four weeks than their 13 weeks before let expect, beyond what all others do.

    The tail is that of a negative binomial whose spread is that of the account's own weeks.
    """
    weeks = counts.weeks.pivot_table(index="account_id", columns="weeks_before", values="calls", fill_value=0)
    weeks = weeks.reindex(columns=range(_RECENT_WEEKS + _EARLIER_WEEKS), fill_value=0)
    recent, before = weeks.iloc[:, :_RECENT_WEEKS].sum(axis=1), weeks.iloc[:, _RECENT_WEEKS:]
    mean, variance = before.mean(axis=1), before.var(axis=1)
    spread = (variance / mean.where(mean > 0)).fillna(1.0).clip(lower=1.0)
    is_known = (before > 0).sum(axis=1) >= _FEWEST_WEEKS
    usual = mean * _RECENT_WEEKS
    everybody = float((recent[is_known] / usual[is_known]).median()) if is_known.any() else 1.0
    expected = usual * min(1.0, everybody)
    tail = fewer_than_expected(recent, expected, spread * expected * (1 + _RECENT_WEEKS / _EARLIER_WEEKS))
    rows = pd.DataFrame(
        {
            "account_id": weeks.index,
            "tail": tail,
            "effect": (expected / recent.clip(lower=1)).to_numpy(),
            "least_effect": least_shortfall(recent, expected, spread),
            "calls": recent.to_numpy(),
            "expected": expected.to_numpy(),
        }
    )
    return Findings("usage_trend", "calls", _named(rows[is_known.to_numpy()]))


def leaving_sdk(counts: DiagnosisCounts) -> Findings:
    """Accounts whose version of an SDK more other accounts have left than all other versions."""
    sdk = counts.sdk[(counts.sdk.accounts > 0) & (counts.sdk.elsewhere_silent > 0)]
    chance = (sdk.elsewhere_silent / sdk.elsewhere).to_numpy(np.float64)
    of, silent = (sdk[name].to_numpy(np.float64) for name in ("accounts", "silent"))
    rows = _larger_share("sdk", "sdk", pd.Index(sdk.account_id), silent, of, of * chance).rows
    return Findings("sdk", "sdk", rows.merge(sdk[["account_id", "sdk", "sdk_version"]], on="account_id"))


TESTS: Mapping[str, Callable[[DiagnosisCounts], Findings]] = {
    "auth": lambda counts: failures(counts, "auth_errors", "auth", "err_auth"),
    "throttled": lambda counts: failures(counts, "throttling", "throttled", "err_throttled"),
    "client": lambda counts: failures(counts, "errors", "client", "err_client"),
    "server": lambda counts: failures(counts, "errors", "server", "err_server"),
    "slow": slow_answers,
    "endpoints": given_up_endpoints,
    "person": lost_people,
    "calls": falling_use,
    "sdk": leaving_sdk,
}
"""Every test, by what it looks at."""


def named_findings(counts: DiagnosisCounts, signs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every account's findings, one row each, in the order in which they are named.

    The largest effect first, once a family; symptoms after causes, and after these what needs no test, as a date.

    Parameters
    ----------
    signs
        What else is known of the accounts: :func:`serving.scoring.signs.signs`.
    """
    parts = [test(counts) for test in TESTS.values()]
    tables = [part.rows.assign(family=part.family, kind=part.rows.get("kind", part.kind)) for part in parts]
    rows = _together(tables if signs is None else [*tables, signs])
    rows = rows.assign(is_symptom=rows.family.isin(SYMPTOMS), is_fact=rows["tail"].isna())
    rows = rows.sort_values(
        ["account_id", "is_fact", "is_symptom", "effect", "family", "kind"],
        ascending=[True, True, True, False, True, True],
    )
    return rows.drop_duplicates(["account_id", "family"]).reset_index(drop=True)


def _together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all; a column that a part lacks is null there. Pandas' own would guess types from what is empty."""
    tables = [pa.Table.from_pandas(part, preserve_index=False) for part in parts]
    rows: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return rows


def _larger_share(family: str, kind: str, accounts: pd.Index, bad: Floats, calls: Floats, expected: Floats) -> Findings:
    return Findings(family, kind, _named(_tested(accounts, bad, calls, expected)))


def _tested(accounts: pd.Index, bad: Floats, calls: Floats, expected: Floats) -> pd.DataFrame:
    chance = np.clip(np.divide(expected, calls, out=np.ones_like(calls), where=calls > 0), 1e-9, 1.0)
    return pd.DataFrame(
        {
            "account_id": accounts,
            "tail": more_than_expected(bad, calls, chance),
            "effect": np.divide(bad, expected, out=np.zeros_like(bad), where=expected > 0),
            "least_effect": least_ratio(bad, calls, chance),
            "bad": bad,
            "calls": calls,
            "expected": expected,
        }
    )


def _is_named(rows: pd.DataFrame) -> pd.Series:
    return (rows["tail"] <= LARGEST_TAIL) & (rows.least_effect >= LEAST_EFFECT)


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[_is_named(rows)].reset_index(drop=True)
