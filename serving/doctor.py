"""Examines a whole home: the checks of every room, and those of the score ledger."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from features.doctor.feature_store import STORE_CHECKS
from features.doctor.files import FILE_CHECKS
from features.examination import Check, Finding, Result, examine
from features.exceptions import InputError
from features.feature_store.sqlite_files import lacks_journal, read_ahead_journal
from features.home.home import Home
from serving.ledger.ledger import open_ledger
from training.labels.targets import TARGETS
from training.watching.registry_checks import REGISTRY_CHECKS

__all__ = ["CHECKS", "examine_home", "finding_rows"]


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


def finding_rows(results: list[Result]) -> list[dict[str, Any]]:
    """One row per finding, for the terminal."""
    return [
        {
            "check": result.check,
            "repaired": "yes" if result.is_repaired else "no",
            "finding": result.finding.what + ("" if result.is_repaired else f" {result.finding.remedy}"),
        }
        for result in results
    ]


def _ledger(home: Home) -> Path:
    return home.ledger


def _look_at_ledger(home: Home, now: datetime) -> Iterator[Finding]:
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
    ledger = open_ledger(home)
    try:
        runs = [run for target in TARGETS if (run := ledger.latest(target)) is not None]
    finally:
        ledger.close()
    for run in runs:
        if run.scored_at > now:
            yield Finding(
                f"The newest {run.target} run was made at {run.scored_at:%Y-%m-%d %H:%M} UTC, and this machine's clock "
                f"says {now:%Y-%m-%d %H:%M}: the clock went back, or was wrong then.",
                "Set the clock (`timedatectl` shows it), then look again.",
            )


def _mend_ledger(home: Home, _: datetime) -> None:
    ledger = open_ledger(home)
    ledger.create()
    ledger.close()
    read_ahead_journal(_ledger(home))


CHECKS: tuple[Check, ...] = (
    *FILE_CHECKS,
    *STORE_CHECKS,
    *REGISTRY_CHECKS,
    Check("ledger", _look_at_ledger, _mend_ledger),
)
"""Every check, in the order in which a repair helps the next."""
