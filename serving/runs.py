"""A score run: what one model said about every account at one cutoff."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.manifest import digest
from serving.freshness import Status
from serving.reasons import Reason

__all__ = ["ScoreRun", "ScoredAccount", "TargetRun", "run_id"]


@dataclass(frozen=True, slots=True)
class ScoredAccount:
    """One account's answer from one model; the numbers are null unless there is a score."""

    account_id: str
    status: Status
    detail: str | None
    probability: float | None = None
    band: str | None = None
    margin: float | None = None
    base_margin: float | None = None
    mrr: float | None = None
    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def mrr_at_risk(self) -> float | None:
        """Monthly recurring revenue times probability."""
        return None if self.mrr is None or self.probability is None else self.mrr * self.probability

    @property
    def top_reason(self) -> str | None:
        """The first reason that raises the score, or the first there is."""
        ranked = sorted(self.reasons, key=lambda reason: reason.direction != "raises")
        return ranked[0].text if ranked else None


@dataclass(frozen=True)
class TargetRun:
    """One target's part of a score run; ``written`` is False when the ledger already held it."""

    run_id: str
    target: str
    as_of: datetime
    scored_at: datetime
    model: str
    version: str
    bundle_sha256: str
    fingerprint: str
    horizon_days: int
    lead_days: int
    accounts: Sequence[ScoredAccount]
    written: bool = False

    @property
    def in_words(self) -> str:
        """How many accounts have which status, for the terminal."""
        counts = Counter(account.status for account in self.accounts)
        said = ", ".join(f"{counts[status]:,} {status.replace('_', ' ')}" for status in Status if counts[status])
        ledger = "" if self.written else " (this run is already in the ledger: nothing written)"
        return f"{self.target} as of {self.as_of:%Y-%m-%d}: {said or 'no accounts'}{ledger}"


@dataclass(frozen=True)
class ScoreRun:
    """One batch run: every target with a champion, at one cutoff."""

    as_of: datetime
    targets: tuple[TargetRun, ...]


def run_id(*, as_of: datetime, target: str, model: str, version: str, bundle_sha256: str, fingerprint: str) -> str:
    """The id under which the ledger holds a run: the same inputs, the same id."""
    parts: tuple[Any, ...] = (as_of.isoformat(), target, model, version, bundle_sha256, fingerprint)
    return digest(parts)[:32]
