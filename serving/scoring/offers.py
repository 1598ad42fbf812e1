"""Says whether an upgrade is offered: not while churn risk is high."""

from collections.abc import Sequence
from dataclasses import replace

from serving.scoring.assess import Assessed
from training.labels.targets import TARGETS

__all__ = ["CHURN", "costs_mrr", "default_sort", "is_offer", "offers", "with_offers"]


CHURN = "churn"
_HELD_BACK = "churn_risk_high: no upgrade is offered while the account is likely to leave; see its churn score."


def is_offer(target: str) -> bool:
    """Whether the target is something to offer rather than something to prevent."""
    return target in TARGETS and TARGETS[target].kind == "upgrade"


def costs_mrr(target: str) -> bool:
    """Whether an account's MRR is lost when the target comes true."""
    return not is_offer(target)


def default_sort(target: str) -> str:
    """What accounts are sorted by when nobody says: the MRR at risk, or the probability where none is."""
    return "mrr_at_risk" if costs_mrr(target) else "probability"


def offers(assessed: Assessed, churn: Assessed | None) -> list[bool | None]:
    """Whether to offer what was assessed, one per account: False while churn risk is high.

    None without a score, or when nobody knows the churn risk. Both are of the same accounts in the same order.
    """
    bands = [None] * len(assessed.status) if churn is None else churn.bands
    return [
        None if place < 0 or band is None else band != "high"
        for place, band in zip(assessed.place.tolist(), bands, strict=True)
    ]


def with_offers(assessed: Assessed, offered: Sequence[bool | None]) -> Assessed:
    """The same answers, with the reason in the detail of those that are held back."""
    details = [
        " ".join(filter(None, (detail, _HELD_BACK))) if offer is False else detail
        for detail, offer in zip(assessed.detail, offered, strict=True)
    ]
    return replace(assessed, detail=details)
