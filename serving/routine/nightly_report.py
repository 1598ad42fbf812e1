"""What one night did: the numbers of each step, the accounts that moved, and what went wrong."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.exceptions import BellwetherError
from features.ingest.inbox import Refused
from features.ingest.report import TableReport
from serving.ledger.ledger import Ledger, RunHead
from serving.ledger.runs import TargetRun
from serving.scoring.freshness import SOURCE_LATE

__all__ = ["Failure", "Mover", "NightlyReport", "Source", "TargetNight", "summed", "target_night", "together"]


_MOVERS = 5


@dataclass(frozen=True)
class Source:
    """How far a raw table reaches; ``until`` is None where there is no such table."""

    table: str
    until: datetime | None
    is_late: bool


@dataclass(frozen=True)
class Mover:
    """An account whose probability changed since the score run before."""

    account_id: str
    name: str | None
    owner: str | None
    before: float
    now: float


@dataclass(frozen=True)
class TargetNight:
    """One target's scores in a few numbers.

    Attributes
    ----------
    bands, statuses
        Accounts in each band, and of each status.
    previous
        The score run of an earlier cutoff the movers are measured against; None before there was one.
    risen, fallen
        The accounts that moved most, the largest change first.
    is_new
        False when the ledger held this very run already.
    rule
        The rule that answered, in words; None where a model did.
    """

    target: str
    version: str
    bands: Mapping[str, int]
    statuses: Mapping[str, int]
    previous: RunHead | None
    risen: tuple[Mover, ...]
    fallen: tuple[Mover, ...]
    is_new: bool
    rule: str | None = None


@dataclass(frozen=True)
class Failure:
    """The step at which a night ended or that left something undone, and why; all of them where there are several."""

    step: str
    error: BellwetherError


@dataclass(frozen=True)
class NightlyReport:
    """What one night did, step by step, up to a failure if there was one.

    Attributes
    ----------
    is_source_late
        Whether the cutoff lies so long after the newest event that nothing was done.
    """

    as_of: datetime
    files_taken: int = 0
    tables: tuple[TableReport, ...] = ()
    refused: tuple[Refused, ...] = ()
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    days_counted: int = 0
    cutoffs_built: tuple[datetime, ...] = ()
    accounts_online: int = 0
    is_online_kept: bool = False
    targets: tuple[TargetNight, ...] = ()
    sources: tuple[Source, ...] = ()
    failure: Failure | None = None
    is_source_late: bool = False

    @property
    def state_name(self) -> str:
        """``done``, ``failed`` or ``source_late``."""
        return SOURCE_LATE if self.is_source_late else "done" if self.failure is None else "failed"

    def state(self, now: datetime) -> dict[str, Any]:
        """What the home remembers of its last night."""
        return {
            "state": self.state_name,
            "as_of": self.as_of.isoformat(),
            "ended_at": now.isoformat(),
            "why": self.failure and str(self.failure.error),
        }

    @property
    def changed_nothing(self) -> bool:
        """Whether everything was there already."""
        return not (
            self.files_taken
            or self.days_counted
            or self.cutoffs_built
            or not self.is_online_kept
            or any(target.is_new for target in self.targets)
        )


def together(failures: Sequence[Failure], *, step: str | None = None) -> Failure | None:
    """All of them as one, of the kind of the last: none must hide another. ``step`` is where the night stopped."""
    if len(failures) < 2:
        return failures[0] if failures else None
    steps = step or " and ".join(dict.fromkeys(failure.step for failure in failures))
    return Failure(steps, type(failures[-1].error)(" ".join(str(failure.error) for failure in failures)))


def summed(reports: Sequence[TableReport]) -> tuple[TableReport, ...]:
    """One report per table."""
    by_table: dict[str, TableReport] = {}
    for report in reports:
        so_far = by_table.get(report.table)
        by_table[report.table] = report if so_far is None else _sum(so_far, report)
    return tuple(by_table.values())


def _sum(first: TableReport, second: TableReport) -> TableReport:
    return TableReport(
        first.table,
        first.files + second.files,
        first.rows_read + second.rows_read,
        first.rows_stored + second.rows_stored,
        first.duplicates + second.duplicates,
        dict(Counter(first.quarantined) + Counter(second.quarantined)),
    )


def target_night(run: TargetRun, ledger: Ledger) -> TargetNight:
    """A run in a few numbers, beside the run of an earlier cutoff that the ledger holds."""
    previous = ledger.before(run.target, run.as_of)
    before = {} if previous is None else ledger.probabilities(previous.run_id)
    moved = [
        Mover(account.account_id, account.name, account.owner, before[account.account_id], account.probability)
        for account in run.accounts
        if account.probability is not None and account.account_id in before
    ]
    by_change = sorted(moved, key=lambda mover: (-abs(mover.now - mover.before), mover.account_id))
    return TargetNight(
        run.target,
        run.version,
        Counter(account.band for account in run.accounts if account.band is not None),
        Counter(str(account.status) for account in run.accounts),
        previous,
        tuple(mover for mover in by_change if mover.now > mover.before)[:_MOVERS],
        tuple(mover for mover in by_change if mover.now < mover.before)[:_MOVERS],
        run.written,
        run.rule,
    )
