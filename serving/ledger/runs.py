"""A score run: what one model said about every account at one cutoff."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, overload

from features.exceptions import BellwetherError
from features.fingerprint import digest
from features.windows import window_in_words
from serving.ledger.score_row import ScoreRow
from serving.scoring.accounts import Attributes
from serving.scoring.assess import Assessed
from serving.scoring.freshness import Status
from serving.scoring.reasons import Reason

__all__ = ["ScoreRun", "ScoredAccount", "ScoredAccounts", "TargetRun", "named_in_words", "run_id"]


@dataclass(frozen=True, slots=True)
class ScoredAccount(ScoreRow):
    """One account's row with its reasons."""

    reasons: Sequence[Reason] = ()

    @property
    def top_reason(self) -> str | None:
        """The first reason that raises the score, or the first there is."""
        ranked = sorted(self.reasons, key=lambda reason: reason.direction != "raises")
        return ranked[0].text if ranked else None


@dataclass(frozen=True, eq=False)
class ScoredAccounts(Sequence[ScoredAccount]):
    """One target's answers, by column; a :class:`ScoredAccount` is made when it is asked for.

    Attributes
    ----------
    assessed
        Status, numbers and reasons, one per account.
    mrr, offer
        One per account.
    at_risk
        Whether the target, if it comes true, costs the account's MRR.
    who
        Account to its name, owner and segment.
    """

    assessed: Assessed
    mrr: Sequence[float | None]
    offer: Sequence[bool | None]
    at_risk: bool
    who: Mapping[str, Attributes]

    def __len__(self) -> int:
        return len(self.assessed.account_ids)

    @overload
    def __getitem__(self, place: int) -> ScoredAccount: ...

    @overload
    def __getitem__(self, place: slice) -> list[ScoredAccount]: ...

    def __getitem__(self, place: int | slice) -> ScoredAccount | list[ScoredAccount]:
        """One account's answer; those of several by a slice."""
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        assessed, scores, row = self.assessed, self.assessed.scores, int(self.assessed.place[place])
        account, mrr = assessed.account_ids[place], self.mrr[place]
        who = self.who.get(account, _NOBODY)
        numbers: dict[str, Any] = {}
        if row >= 0:
            probability = float(scores.probability[row])
            numbers = {
                "probability": probability,
                "band": str(scores.band[row]),
                "margin": float(scores.margin[row]),
                "base_margin": float(scores.base_margin[row]),
                "mrr_at_risk": mrr * probability if self.at_risk and mrr is not None else None,
                "reasons": assessed.reasons[row],
            }
        return ScoredAccount(
            account,
            assessed.status[place],
            assessed.detail[place],
            mrr=mrr,
            offer=self.offer[place],
            **who._asdict(),
            **numbers,
        )


_NOBODY = Attributes()


@dataclass(frozen=True)
class TargetRun:
    """One target's part of a score run.

    ``observed`` says of each band in words what was observed in it, ``rule`` which rule answered where no model did;
    ``verdict`` and ``unproven`` are what the gate said of the model, and whether it was promoted though nothing was
    shown: the bundle's, the ledger does not hold them.
    ``written`` is False when the ledger already held the run, or could not take it: then ``unwritable`` is its file.
    """

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
    observed: Mapping[str, str] = field(default_factory=dict)
    rule: str | None = None
    verdict: str | None = None
    unproven: bool = False
    written: bool = False
    unwritable: Path | None = None

    @property
    def title(self) -> str:
        """The target as it stands in a sentence."""
        return self.target.replace("_", " ")

    @property
    def in_words(self) -> str:
        """How many accounts have which status, for the terminal."""
        counts = Counter(account.status for account in self.accounts)
        statuses = ", ".join(f"{counts[status]:,} {status.replace('_', ' ')}" for status in Status if counts[status])
        window = window_in_words(self.as_of, lead_days=self.lead_days, horizon_days=self.horizon_days)
        return f"{self.title} {window}: {statuses or 'no accounts'}{self._ledger_in_words}"

    @property
    def _ledger_in_words(self) -> str:
        if self.unwritable is not None:
            return f" (not recorded: the ledger {self.unwritable} cannot be written)"
        return "" if self.written else " (this run is already in the ledger: nothing written)"


@dataclass(frozen=True)
class ScoreRun:
    """One batch run: every target with a champion, at one cutoff.

    ``failures`` says why a target that has a champion, or had one, is not among them.
    """

    as_of: datetime
    targets: tuple[TargetRun, ...]
    failures: tuple[BellwetherError, ...] = ()


def named_in_words(version: str, rule: str | None) -> str:
    """What answers, as it stands in a sentence.

    >>> named_in_words("3", None), named_in_words("4", "days since the last call")
    ('model version 3', 'version 4 (Rule: days since the last call)')
    """
    return f"model version {version}" if rule is None else f"version {version} (Rule: {rule})"


def run_id(*, as_of: datetime, target: str, model: str, version: str, bundle_sha256: str, fingerprint: str) -> str:
    """The id under which the ledger holds a run: the same inputs, the same id."""
    parts: tuple[Any, ...] = (as_of.isoformat(), target, model, version, bundle_sha256, fingerprint)
    return digest(parts)[:32]
