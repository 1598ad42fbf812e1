"""How a home is examined: checks that look, findings in words, and repairs that are safe to make."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.exceptions import BellwetherError
from features.home.home import Home

__all__ = ["BROKEN", "Check", "Finding", "Result", "examine", "not_done"]

BROKEN = (BellwetherError, OSError, ValueError, sqlite3.Error)
"""What reading a broken home raises: our own errors, and those of files, databases and Parquet below them."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or only worth a look: what it is and means, and what to do."""

    what: str
    remedy: str
    is_remark: bool = False


@dataclass(frozen=True)
class Check:
    """One thing that an examination looks at, and how it is repaired.

    Attributes
    ----------
    look
        Gives what is wrong, from the settings and the clock; an error of ours is a finding too.
    mend
        Repairs what can be repaired without losing anything; None where a person has to decide. A text it returns
        is told beside what it repaired.
    """

    name: str
    look: Callable[[Home, datetime], Iterable[Finding]]
    mend: Callable[[Home, datetime], object] | None = None


@dataclass(frozen=True)
class Result:
    """A finding of a check, whether it was repaired, and what there is to say about that."""

    check: str
    finding: Finding
    is_repaired: bool = False
    note: str = ""


def examine(
    checks: Sequence[Check],
    home: Home,
    *,
    now: datetime,
    repair: bool = False,
    keep: Callable[[], object] = lambda: None,
) -> list[Result]:
    """Look at everything, in order; with ``repair``, mend what can be mended and look again.

    ``keep`` puts a copy aside before anything is mended that is wrong, and not only left to do; what it raises ends
    the repair.
    """
    results: list[Result] = []
    for check in checks:
        findings = _looked(check, home, now)
        left, note = findings, ""
        if findings and repair and check.mend is not None:
            if not all(finding.is_remark for finding in findings):
                keep()
            note, failed = _mended(check.mend, home, now)
            left = [*_looked(check, home, now), *failed]
        mended = [finding for finding in findings if finding not in left]
        results += [Result(check.name, finding, is_repaired=True, note=note) for finding in mended]
        results += [Result(check.name, finding) for finding in left]
    return results


def _looked(check: Check, home: Home, now: datetime) -> list[Finding]:
    try:
        return list(check.look(home, now))
    except BROKEN as error:
        return [not_done("looked at", error)]


def _mended(mend: Callable[[Home, datetime], object], home: Home, now: datetime) -> tuple[str, list[Finding]]:
    """Mend; what there is to say, and a finding more when it failed."""
    try:
        told = mend(home, now)
    except BROKEN as error:
        return "", [not_done("repaired", error)]
    return (told if isinstance(told, str) else ""), []


def not_done(what: str, error: Exception) -> Finding:
    """The finding of a part that could not be ``looked at`` or ``repaired``."""
    return Finding(f"This could not be {what}: {error}", "Mend what the other findings name first, then look again.")
