"""Examines a whole home: the checks of every room, in the order in which a repair helps the next."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

from features.doctor.clock import CLOCK_CHECKS, remedy, require_clock
from features.doctor.feature_store import STORE_CHECKS
from features.doctor.files import DERIVED_CHECKS, FILE_CHECKS
from features.doctor.set_aside import folder_of, set_aside
from features.examination import Check, Finding, Result, examine
from features.exceptions import counted
from features.home.home import Home
from features.home.presence import require_home
from features.ingest.rules import CLOCK_TOLERANCE
from serving.champion_checks import CHAMPION_CHECKS, is_readable
from serving.ledger.ledger import open_ledger
from training.watching.registry_checks import REGISTRY_CHECKS

__all__ = ["CHECKS", "FINDING_COLUMNS", "examine_home", "finding_rows", "is_wrong", "summary"]


def examine_home(home: Home, *, now: datetime, repair: bool = False) -> list[Result]:
    """Look at everything a home consists of; with ``repair``, mend what can be mended without losing anything.

    Raises
    ------
    InputError
        When there is no home.
    """
    require_home(home)
    return examine(CHECKS, home, now=now, repair=repair, keep=lambda: set_aside(home, now))


FINDING_COLUMNS = ("is", "check", "finding")
"""Of the rows of :func:`finding_rows`."""


def finding_rows(results: list[Result]) -> list[dict[str, Any]]:
    """One row per finding, for the terminal; what is wrong first."""
    return [
        {
            "is": _kind(result),
            "check": result.check,
            "finding": f"{result.finding.what} {result.note if result.is_repaired else result.finding.remedy}".strip(),
        }
        for result in sorted(results, key=lambda result: (result.is_repaired, result.finding.is_remark))
    ]


def is_wrong(result: Result) -> bool:
    """Whether a result is of something that is wrong and still there; a remark is of something left to do."""
    return not (result.is_repaired or result.finding.is_remark)


def _kind(result: Result) -> str:
    return "repaired" if result.is_repaired else "remark" if result.finding.is_remark else "WRONG"


def summary(home: Home, results: list[Result], *, now: datetime) -> str:
    """How it ended, in a sentence or two."""
    wrong, repaired = sum(map(is_wrong, results)), sum(result.is_repaired for result in results)
    parts = [f"{wrong} wrong" if wrong else "nothing is wrong"]
    parts += [f"{repaired} repaired"] if repaired else []
    set_aside = folder_of(home, now)
    text = f"{len(CHECKS)} checks: {', '.join(parts)}."
    if repaired and set_aside.exists():
        text += f" What was there before lies in {set_aside}; remove it when nobody misses anything."
    return text


def _look_at_later_runs(home: Home, now: datetime) -> Iterator[Finding]:
    if not is_readable(home.ledger):
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


def _mend_later_runs(home: Home, now: datetime) -> None:
    require_clock(home, now)
    with closing(open_ledger(home)) as ledger:
        ledger.forget_later_than(now, scored_at=now + CLOCK_TOLERANCE)


CHECKS: tuple[Check, ...] = (
    *FILE_CHECKS,
    *CLOCK_CHECKS,
    *DERIVED_CHECKS,
    *STORE_CHECKS,
    *REGISTRY_CHECKS,
    *CHAMPION_CHECKS,
    Check("runs of the future", _look_at_later_runs, _mend_later_runs),
)
"""Every check, in the order in which a repair helps the next."""
