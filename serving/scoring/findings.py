"""Says what a diagnosis found: a sentence with its yardstick, the evidence behind it, and what to do next."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pandas as pd

from features.analytics.diagnosis_counts import DiagnosisCounts
from features.exceptions import counted
from features.shares import percent
from serving.scoring.playbooks import next_step
from serving.scoring.wording import milliseconds

__all__ = ["Evidence", "Finding", "findings_of"]


_NAMED_ENDPOINTS = 3
_CLASSES: Mapping[str, tuple[str, str]] = {
    "auth": ("err_auth", "are refused as not authorised (401 or 403)"),
    "throttled": ("err_throttled", "are throttled (429)"),
    "client": ("err_client", "fail with a client error (4xx)"),
    "server": ("err_server", "fail with a server error (5xx)"),
}


@dataclass(frozen=True)
class Evidence:
    """Something a finding rests on: ``bad`` of ``calls`` calls to it, where ``expected`` are usual."""

    kind: str
    value: str
    calls: int | None = None
    bad: int | None = None
    expected: float | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an account.

    Attributes
    ----------
    family
        Of the catalogue.
    since
        The day on which it began; None where it was not looked for.
    tail
        How probable as much is by chance; None for what needs no test, as a date.
    effect
        How many times what is usual.
    """

    family: str
    tail: float | None
    effect: float | None
    text: str
    evidence: tuple[Evidence, ...]
    next_step: str
    since: date | None = None

    def as_json(self) -> dict[str, Any]:
        """As the service answers it."""
        return {**asdict(self), "since": None if self.since is None else self.since.isoformat()}


def findings_of(named: pd.DataFrame, counts: DiagnosisCounts, accounts: Sequence[str]) -> dict[str, list[Finding]]:
    """The findings of some accounts, each account's in the order of ``named``; none for one where nothing is unusual.

    Parameters
    ----------
    named
        :func:`serving.scoring.diagnosis.named_findings`, with the column ``since`` where it was looked for.
    """
    wanted = set(accounts)
    endpoints = _by_account(counts.endpoints, wanted)
    slow = _by_account(counts.slow, wanted)
    findings: dict[str, list[Finding]] = {account: [] for account in accounts}
    for row in named[named.account_id.isin(wanted)].to_dict("records"):
        tables = (endpoints.get(row["account_id"]), slow.get(row["account_id"]))
        text, evidence = _SAID[row["kind"]](row, *tables) if row["kind"] in _SAID else (row["text"], [])
        since = row.get("since")
        findings[row["account_id"]].append(
            Finding(
                row["family"],
                _known(row["tail"]),
                _known(row["effect"]),
                text,
                tuple(evidence),
                next_step(row["family"]),
                since if isinstance(since, date) else None,
            )
        )
    return findings


def _known(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else float(number)


def _by_account(rows: pd.DataFrame, wanted: set[str]) -> dict[str, pd.DataFrame]:
    return {str(account): part for account, part in rows[rows.account_id.isin(wanted)].groupby("account_id")}


def _route(row: Mapping[Any, Any]) -> str:
    return f"{row['method']} {row['endpoint']}".strip() or "calls without a route"


def _failures(row: Mapping[str, Any], endpoints: pd.DataFrame, _: object) -> tuple[str, list[Evidence]]:
    column, fail = _CLASSES[row["kind"]]
    beyond = endpoints.assign(beyond=endpoints[column] - endpoints[f"expected_{column}"])
    worst = beyond.sort_values("beyond", ascending=False, kind="stable").head(_NAMED_ENDPOINTS)
    evidence = [
        Evidence("endpoint", _route(of), int(of["answered"]), int(of[column]), round(of[f"expected_{column}"], 2))
        for of in worst[worst.beyond > 0].to_dict("records")
    ]
    text = (
        f"{percent(row['bad'] / row['calls'])} of {counted(int(row['calls']), 'call|calls')} {fail}; "
        f"other accounts see {percent(row['expected'] / row['calls'])} on the same endpoints"
    )
    if not evidence:
        return f"{text}.", evidence
    most = evidence[0]
    return f"{text}. Worst on {most.value}: {most.bad:,} of {counted(most.calls or 0, 'call|calls')}.", evidence


def _slow(row: Mapping[str, Any], _: object, slow: pd.DataFrame) -> tuple[str, list[Evidence]]:
    usual = row["expected"] / row["calls"]
    expected = slow.timed_calls * usual
    worst = slow.assign(expected=expected, beyond=slow.slow_calls - expected)
    worst = worst.sort_values("beyond", ascending=False, kind="stable").head(_NAMED_ENDPOINTS)
    records = worst[worst.beyond > 0].to_dict("records")
    evidence = [
        Evidence("endpoint", _route(of), int(of["timed_calls"]), int(of["slow_calls"]), round(of["expected"], 2))
        for of in records
    ]
    most = records[0]
    text = (
        f"{_route(most)} is slow: {percent(most['slow_calls'] / most['timed_calls'])} of its calls take longer than "
        f"its usual slowest 5 % ({milliseconds(most['usual_p95_ms'])}), "
        f"{percent(most['timed_calls'] / row['calls'])} of this account's calls go there."
    )
    return text, evidence


def _endpoints(row: Mapping[str, Any], endpoints: pd.DataFrame, _: object) -> tuple[str, list[Evidence]]:
    given_up = endpoints[(endpoints.earlier_ok > 0) & (endpoints[f"ok_{row['days']:.0f}d"] == 0)]
    given_up = given_up.sort_values("earlier_ok", ascending=False, kind="stable")
    routes = [_route(of) for of in given_up.to_dict("records")]
    evidence = [Evidence("endpoint", route, calls=0) for route in routes[:_NAMED_ENDPOINTS]]
    more = "" if len(routes) <= _NAMED_ENDPOINTS else f" and {len(routes) - _NAMED_ENDPOINTS} more"
    text = (
        f"Only {counted(int(row['used']), 'endpoint|endpoints')} in use in the last {row['days']:.0f} days, where its "
        f"earlier mix lets expect {row['expected']:.0f}. Given up: {', '.join(routes[:_NAMED_ENDPOINTS])}{more}."
    )
    return text, evidence


def _person(row: Mapping[str, Any], *_: object) -> tuple[str, list[Evidence]]:
    text = (
        f"The {row['kind']} behind {percent(row['share'])} of the calls has made none for "
        f"{counted(int(row['last_age_days']) - 1, 'day|days')}, while others made {int(row['calls_since']):,}."
    )
    return text, [Evidence(row["kind"], "the busiest", int(row["calls"]))]


def _calls(row: Mapping[str, Any], *_: object) -> tuple[str, list[Evidence]]:
    text = f"{counted(int(row['calls']), 'call|calls')} in the last 28 days, usually {row['expected']:,.0f}."
    return text, []


def _sdk(row: Mapping[str, Any], *_: object) -> tuple[str, list[Evidence]]:
    version = " ".join([row["sdk"], *([row["sdk_version"]] if row["sdk_version"] else [])])
    others = counted(int(row["calls"]), "other account|other accounts")
    text = (
        f"Runs {version}: {percent(row['bad'] / row['calls'])} of {others} on it made no call in the last 28 days, "
        f"of accounts on other versions {percent(row['expected'] / row['calls'])}."
    )
    return text, [Evidence("sdk_version", version, int(row["calls"]), int(row["bad"]), round(row["expected"], 2))]


_Said = Callable[..., tuple[str, list[Evidence]]]
_SAID: Mapping[str, _Said] = {
    **dict.fromkeys(_CLASSES, _failures),
    "slow": _slow,
    "endpoints": _endpoints,
    "user": _person,
    "token": _person,
    "calls": _calls,
    "sdk": _sdk,
}
