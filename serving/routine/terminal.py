"""What a batch run looks like on the terminal: rows of a table, and one account's reasons as bars."""

from collections.abc import Callable, Mapping
from typing import Any

from features.text_table import printable
from serving.ledger.runs import ScoredAccount, TargetRun
from serving.scoring.offers import costs_mrr, default_sort

__all__ = ["explanation", "in_money", "riskiest"]


_BAR = 24

_SORTS: Mapping[str, Callable[[ScoredAccount], float | None]] = {
    "mrr_at_risk": lambda account: account.mrr_at_risk,
    "probability": lambda account: account.probability,
}


def riskiest(run: TargetRun, *, limit: int, sort: str | None = None) -> list[dict[str, Any]]:
    """The accounts with a score, the largest first: account, MRR, probability, band, top reason, MRR at risk.

    Upgrades that are held back come after all others.
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

    return [
        {
            "account_id": account.account_id,
            "target": run.target,
            **account.shown("terminal"),
            "top_reason": account.top_reason,
        }
        for account in sorted(scored, key=key)[:limit]
    ]


def in_money(account: ScoredAccount) -> str:
    """The account's MRR and, where the target costs it, how much of it is at risk."""
    mrr = "" if account.mrr is None else f", MRR {account.mrr:,.0f}"
    return mrr if account.mrr_at_risk is None else f"{mrr}, at risk {account.mrr_at_risk:,.0f}"


def explanation(run: TargetRun, account_id: str) -> str:
    """One account's score and reasons: each with a bar as long as it weighs, to the right when it raises."""
    account = next(one for one in run.accounts if one.account_id == account_id)
    who = f"{account_id} ({account.name})" if account.name else account_id
    head = f"{who}: {run.target} within {run.horizon_days} days, as of {run.as_of:%Y-%m-%d}"
    if account.probability is None:
        return _shown([head, f"  No score. {account.detail}"])
    lines = [
        head,
        f"  Probability {100 * account.probability:.1f} %, band {account.band}" + in_money(account),
        *([f"  Mind: {account.detail}"] if account.detail else []),
        f"  {'lowers':>{_BAR}} | {'raises':<{_BAR}}  log-odds",
    ]
    longest = max((abs(reason.contribution) for reason in account.reasons), default=1.0)
    for reason in account.reasons:
        bar = "█" * max(round(_BAR * abs(reason.contribution) / longest), 1)
        left, right = ("", bar) if reason.direction == "raises" else (bar, "")
        lines.append(f"  {left:>{_BAR}} | {right:<{_BAR}} {reason.contribution:+9.2f}  {reason.text}")
    base, margin = account.base_margin or 0.0, account.margin or 0.0
    rest = margin - base - sum(reason.contribution for reason in account.reasons)
    lines.append(
        f"  An average account has {base:+.2f}; these reasons and {rest:+.2f} of small ones make {margin:+.2f} "
        f"(model {run.model} version {run.version})."
    )
    return _shown(lines)


def _shown(lines: list[str]) -> str:
    return "\n".join(map(printable, lines))
