"""Which built cutoffs are meant by whoever names none: none at which everybody looks silent."""

from collections.abc import Sequence
from datetime import datetime

from features.exceptions import InputError, counted, listed
from features.home.home import Home
from features.ingest.late_source import log_end
from features.offline.cutoffs import built_cutoffs, left_out

__all__ = ["default_cutoff", "nothing_built", "silence_told", "silent_cutoffs"]


def default_cutoff(home: Home, *, now: datetime) -> datetime:
    """The newest cutoff built, which must have come and must not lie so long after the log that all look silent.

    Raises
    ------
    InputError
        When none is built, or the newest is not to be taken unasked: the one to name instead is said.
    """
    built = built_cutoffs(home)
    if not built:
        raise nothing_built(home)
    newest = built[-1]
    if newest > now:
        raise InputError(
            f"The newest cutoff built, {newest:%Y-%m-%d}, has not come yet: it is {now:%Y-%m-%d %H:%M} UTC. "
            "`bellwether doctor` says what a clock that was ahead has left; `bellwether doctor --repair` removes it."
        )
    end = log_end(home, now=now)
    if end.is_late(newest):
        earlier = [cutoff for cutoff in built if not end.is_late(cutoff)]
        remedy = (
            f"Give the newest before that: --as-of {earlier[-1]:%Y-%m-%d}."
            if earlier
            else "Run `bellwether features build` first, which ends with the log, then give "
            f"--as-of {end.cutoff:%Y-%m-%d}."
        )
        raise InputError(f"The newest cutoff built, {end.in_words(newest)}: everybody would look silent. {remedy}")
    return newest


def nothing_built(home: Home) -> InputError:
    """What to say where no cutoff is built."""
    first = left_out(home) or ["Run `bellwether features build` first."]
    return InputError(" ".join(["No cutoff is built yet.", *first]))


def silent_cutoffs(home: Home, cutoffs: Sequence[datetime]) -> list[datetime]:
    """Those of the cutoffs that lie so long after the newest event that everybody looks silent."""
    if not cutoffs:
        return []
    end = log_end(home, now=max(cutoffs))
    return [cutoff for cutoff in cutoffs if end.is_late(cutoff)]


def silence_told(home: Home) -> list[str]:
    """A sentence about weekly cutoffs of silence, which nothing is learnt from; none where there are none."""
    silent = silent_cutoffs(home, [cutoff for cutoff in built_cutoffs(home) if cutoff.weekday() == 0])
    if not silent:
        return []
    what = counted(len(silent), "weekly cutoff lies|weekly cutoffs lie")
    which = listed(cutoff.date() for cutoff in reversed(silent))
    return [f"{what} so long after the newest event that everybody looks silent there; left out of training: {which}."]
