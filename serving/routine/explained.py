"""One account's scores with every reason, for programs: as the service answers, and as rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from serving.ledger.runs import ScoredAccount, ScoreRun, TargetRun
from serving.scoring.findings import Finding
from serving.scoring.freshness import age_hours
from serving.scoring.reasons import Reason, reason_json

__all__ = ["explained_json", "explained_rows"]


def explained_json(run: ScoreRun, diagnosis: Sequence[Finding], *, now: datetime) -> dict[str, Any]:
    """A result as ``POST /v1/score`` gives it, who the account is, and what is wrong there; of a run of one account."""
    (account, *_) = run.targets[0].accounts
    return {
        "account_id": account.account_id,
        "name": account.name,
        "owner": account.owner,
        "segment": account.segment,
        "features_as_of": run.as_of.isoformat(),
        "data_age_hours": round(age_hours(run.as_of, now), 2),
        "diagnosis_status": "made",
        "diagnosis": [finding.as_json() for finding in diagnosis],
        "scores": {part.target: _score(part, part.accounts[0]) for part in run.targets},
    }


def explained_rows(run: ScoreRun) -> list[dict[str, Any]]:
    """One row per target and reason, the largest first; a row without a reason where there is no score."""
    return [row for part in run.targets for row in _rows(part, part.accounts[0])]


def _score(part: TargetRun, account: ScoredAccount) -> dict[str, Any]:
    return {
        "status": str(account.status),
        "detail": account.detail,
        "offer": account.offer,
        "probability": account.probability,
        "band": account.band,
        "margin": account.margin,
        "base_margin": account.base_margin,
        "mrr": account.mrr,
        "mrr_at_risk": account.mrr_at_risk,
        "reasons": [reason_json(reason) for reason in account.reasons],
        "horizon_days": part.horizon_days,
        "lead_days": part.lead_days,
        "model": {
            "name": part.model,
            "version": part.version,
            "kind": "model" if part.rule is None else "rule",
            "rule": part.rule,
            "verdict": part.verdict,
            "unproven": part.unproven,
        },
    }


def _rows(part: TargetRun, account: ScoredAccount) -> Iterator[dict[str, Any]]:
    reasons: Sequence[Reason | None] = list(account.reasons) or [None]
    for rank, reason in enumerate(reasons, start=1):
        yield {
            "account_id": account.account_id,
            "name": account.name,
            "owner": account.owner,
            "target": part.target,
            "as_of": part.as_of,
            "lead_days": part.lead_days,
            "horizon_days": part.horizon_days,
            "status": str(account.status),
            "probability": account.probability,
            "band": account.band,
            "mrr": account.mrr,
            "mrr_at_risk": account.mrr_at_risk,
            "rank": None if reason is None else rank,
            "code": None if reason is None else reason.code,
            "direction": None if reason is None else reason.direction,
            "contribution": None if reason is None else reason.contribution,
            "text": account.detail if reason is None else reason.text,
        }
