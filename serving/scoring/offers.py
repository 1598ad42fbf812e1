"""Says whether an upgrade is offered: to those most likely to take it, and not while churn risk is high."""

from dataclasses import replace

from serving.scoring.assess import Assessed
from training.labels.targets import TARGETS

__all__ = ["CHURN", "HELD_BACK", "costs_mrr", "default_sort", "is_offer", "with_offers"]


CHURN = "churn"
HELD_BACK = "churn_risk_high: no upgrade is offered while the account is likely to leave; see its churn score."
"""In the detail of an account that would be offered an upgrade if its churn risk were not high."""


def is_offer(target: str) -> bool:
    """Whether the target is something to offer rather than something to prevent."""
    return target in TARGETS and TARGETS[target].kind == "upgrade"


def costs_mrr(target: str) -> bool:
    """Whether an account's MRR is lost when the target comes true."""
    return not is_offer(target)


def default_sort(target: str) -> str:
    """What accounts are sorted by when nobody says: the MRR at risk, or the probability where none is."""
    return "mrr_at_risk" if costs_mrr(target) else "probability"


def with_offers(
    assessed: Assessed, churn: Assessed | None, *, highest_band: str | None
) -> tuple[Assessed, list[bool | None]]:
    """Whether to offer what was assessed, one per account, and the answers with the reason for those held back.

    True in the model's highest band, False below it, where no band exists, and while churn risk is high: then the
    detail says so. None without a score, and in the highest band when nobody knows the churn risk. Both assessments
    are of the same accounts in the same order.
    """
    risks = [None] * len(assessed.status) if churn is None else churn.bands
    offered: list[bool | None] = []
    details: list[str | None] = []
    for band, risk, detail in zip(assessed.bands, risks, assessed.detail, strict=True):
        is_likely = band is not None and band == highest_band
        offered.append(None if band is None or (is_likely and risk is None) else is_likely and risk != "high")
        details.append(" ".join(filter(None, (detail, HELD_BACK))) if is_likely and risk == "high" else detail)
    return replace(assessed, detail=details), offered
