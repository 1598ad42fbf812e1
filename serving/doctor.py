"""Examines a whole home: the checks of every room, and those of the score ledger."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from features.doctor.clock import CLOCK_CHECKS, mended_after, remedy
from features.doctor.feature_store import STORE_CHECKS
from features.doctor.files import DERIVED_CHECKS, FILE_CHECKS
from features.examination import Check, Finding, Result, examine
from features.exceptions import InputError, counted
from features.feature_store.sqlite_files import lacks_journal, read_ahead_journal
from features.home.home import Home
from features.ingest.rules import CLOCK_TOLERANCE
from serving.ledger.ledger import open_ledger
from training.watching.registry_checks import REGISTRY_CHECKS

__all__ = ["CHECKS", "FINDING_COLUMNS", "examine_home", "finding_rows"]


def examine_home(home: Home, *, now: datetime, repair: bool = False) -> list[Result]:
    """Look at everything a home consists of; with ``repair``, mend what can be mended without losing anything.

    Raises
    ------
    InputError
        When there is no home.
    """
    if not home.root.is_dir():
        raise InputError(f"There is no home {home.root}. Run `bellwether init`, or name another with --home.")
    return examine(CHECKS, home, now=now, repair=repair)


FINDING_COLUMNS = ("check", "repaired", "finding")
"""Of the rows of :func:`finding_rows`."""


def finding_rows(results: list[Result]) -> list[dict[str, Any]]:
    """One row per finding, for the terminal."""
    return [
        {
            "check": result.check,
            "repaired": "yes" if result.is_repaired else "no",
            "finding": f"{result.finding.what} {result.note if result.is_repaired else result.finding.remedy}".strip(),
        }
        for result in results
    ]


def _ledger(home: Home) -> Path:
    return home.ledger


def _look_at_ledger(home: Home, _: datetime) -> Iterator[Finding]:
    if not _ledger(home).exists():
        if (home.bundles).is_dir() and any((home.bundles).iterdir()):
            yield Finding(
                "There is no score ledger: the lists of accounts are empty.",
                "`bellwether doctor --repair` makes an empty one, `bellwether score` fills it. Old runs need a backup.",
            )
        return
    if lacks_journal(_ledger(home)):
        yield Finding(
            f"{_ledger(home)} has no write-ahead journal: readers wait while a run is written.",
            "`bellwether doctor --repair` sets it.",
        )


def _look_at_later_runs(home: Home, now: datetime) -> Iterator[Finding]:
    if not home.ledger.exists():
        return
    with closing(open_ledger(home)) as ledger:
        later = ledger.later_than(now, scored_at=now + CLOCK_TOLERANCE)
    if later:
        newest = max(later, key=lambda run: (run.as_of, run.scored_at))
        yield Finding(
            f"{counted(len(later), 'score run is|score runs are')} of a time that had not come at "
            f"{now:%Y-%m-%d %H:%M} UTC, the newest of {newest.target} as of {newest.as_of:%Y-%m-%d}, made at "
            f"{newest.scored_at:%Y-%m-%d %H:%M} UTC: they hide every true run until then.",
            remedy(home, now),
        )


def _mend_later_runs(home: Home, now: datetime) -> str:
    told = mended_after(home, now)
    with closing(open_ledger(home)) as ledger:
        ledger.forget_later_than(now, scored_at=now + CLOCK_TOLERANCE)
    return told


def _mend_ledger(home: Home, _: datetime) -> None:
    ledger = open_ledger(home)
    ledger.create()
    ledger.close()
    read_ahead_journal(_ledger(home))


CHECKS: tuple[Check, ...] = (
    *FILE_CHECKS,
    *CLOCK_CHECKS,
    *DERIVED_CHECKS,
    *STORE_CHECKS,
    *REGISTRY_CHECKS,
    Check("ledger", _look_at_ledger, _mend_ledger),
    Check("runs of the future", _look_at_later_runs, _mend_later_runs),
)
"""Every check, in the order in which a repair helps the next."""
