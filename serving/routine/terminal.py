"""What a batch run looks like on the terminal: rows of a table, and one account's reasons as bars."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from features.shares import Share, percent
from features.text_table import printable, text_table
from features.windows import window_in_words
from serving.ledger.runs import ScoredAccount, TargetRun
from serving.ledger.score_row import shown_on
from serving.scoring.freshness import in_words
from serving.scoring.offers import costs_mrr, default_sort

__all__ = ["RISKIEST_COLUMNS", "explanation", "for_people", "in_money", "riskiest", "who"]


_BAR = 24
_ROOM = 100  # letters of a line that has room for bars beside a sentence

_SORTS: Mapping[str, Callable[[ScoredAccount], float | None]] = {
    "mrr_at_risk": lambda account: account.mrr_at_risk,
    "probability": lambda account: account.probability,
}
_WHO = ("account_id", "name", "owner")
RISKIEST_COLUMNS = (
    *_WHO,
    "target",
    *(name for name in shown_on("terminal") if name not in _WHO),
    "top_reason",
)
"""Of the rows of :func:`riskiest`."""


def riskiest(run: TargetRun, *, limit: int, sort: str | None = None) -> list[dict[str, Any]]:
    """The accounts with a score, the largest first: who, MRR, probability, band, MRR at risk, top reason.

    Upgrades that are not offered come after all others.
    """
    value = _SORTS[sort if sort is not None and costs_mrr(run.target) else default_sort(run.target)]
    scored = [account for account in run.accounts if account.probability is not None]

    def key(account: ScoredAccount) -> tuple[bool, float, float, str]:
        number = value(account)
        return (
            account.offer is False,
            -(number if number is not None else -1.0),
            -(account.probability or 0.0),
            account.account_id,
        )

    return [_row(run.target, account) for account in sorted(scored, key=key)[:limit]]


def for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows under names in words, without the columns in which nobody has anything."""
    filled = [name for name in (rows[0] if rows else ()) if any(row[name] is not None for row in rows)]
    return [{name.replace("_", " "): row[name] for name in filled} for row in rows]


def who(account_id: str, name: str | None, owner: str | None) -> str:
    """An account with its name and who looks after it, as far as they are known.

    >>> who("acct_1", "Acme", "kim"), who("acct_1", None, "kim"), who("acct_1", None, None)
    ('acct_1 (Acme, owner kim)', 'acct_1 (owner kim)', 'acct_1')
    """
    more = ", ".join([*([name] if name else []), *([f"owner {owner}"] if owner else [])])
    return f"{account_id} ({more})" if more else account_id


def in_money(account: ScoredAccount) -> str:
    """The account's MRR and, where the target costs it, how much of it is at risk."""
    mrr = "" if account.mrr is None else f", MRR {account.mrr:,.0f}"
    return mrr if account.mrr_at_risk is None else f"{mrr}, at risk {account.mrr_at_risk:,.0f}"


def explanation(run: TargetRun, account_id: str, *, width: int | None = None) -> list[str]:
    """One account's score and reasons, line by line: each with a bar as long as it weighs, to the right when it raises.

    Without the room for bars, which are as wide as they are, the reasons are a table.
    """
    account = next(scored for scored in run.accounts if scored.account_id == account_id)
    window = window_in_words(run.as_of, lead_days=run.lead_days, horizon_days=run.horizon_days)
    head = f"{who(account_id, account.name, account.owner)}: {run.title} {window}"
    if account.probability is None:
        return _printable([head, f"  No score. {in_words(account.detail)}"])
    lines = [
        head,
        f"  Probability {percent(account.probability)}, band {account.band}" + in_money(account),
        *(f"  Band {band}: {observed}." for band, observed in run.observed.items() if band == account.band),
        *([f"  Mind: {in_words(account.detail)}"] if account.detail else []),
        *(_bars(account) if width is None or width >= _ROOM else _table(account, width)),
    ]
    base, margin = account.base_margin or 0.0, account.margin or 0.0
    rest = margin - base - sum(reason.contribution for reason in account.reasons)
    lines.append(
        f"  An average account has {base:+.2f}; these reasons and {rest:+.2f} of others make {margin:+.2f} "
        f"({'model' if run.rule is None else f'Rule: {run.rule};'} {run.model} version {run.version})."
    )
    return _printable(lines)


def _row(target: str, account: ScoredAccount) -> dict[str, Any]:
    shown = account.shown("terminal")
    named = {name: shown.pop(name) for name in _WHO}
    probability = None if account.probability is None else Share(account.probability)
    return {**named, "target": target, **shown, "probability": probability, "top_reason": account.top_reason}


def _bars(account: ScoredAccount) -> Iterator[str]:
    yield f"  {'lowers':>{_BAR}} | {'raises':<{_BAR}}  log-odds"
    longest = max((abs(reason.contribution) for reason in account.reasons), default=1.0)
    for reason in account.reasons:
        bar = "█" * max(round(_BAR * abs(reason.contribution) / longest), 1)
        left, right = ("", bar) if reason.direction == "raises" else (bar, "")
        yield f"  {left:>{_BAR}} | {right:<{_BAR}} {reason.contribution:+9.2f}  {reason.text}"


def _table(account: ScoredAccount, width: int) -> list[str]:
    rows = [[f"{reason.contribution:+.2f}", reason.text] for reason in account.reasons]
    return text_table(("log-odds", "reason"), rows, at_right=(True, False), width=width)


def _printable(lines: list[str]) -> list[str]:
    return list(map(printable, lines))
