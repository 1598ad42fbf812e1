"""What a night finds in its home that a clock which was ahead has left, and that would stand in its way unseen."""

from contextlib import closing
from datetime import datetime

from features.doctor.clock import REPAIR_CLOCK, clock_traces
from features.exceptions import WorkFailedError, counted
from features.home.home import Home
from features.ingest.rules import CLOCK_TOLERANCE
from serving.ledger.ledger import open_ledger
from serving.routine.nightly_report import Failure

__all__ = ["clock_failure"]


def clock_failure(home: Home, *, now: datetime) -> Failure | None:
    """A failure that names it all; None in a home whose clock was never ahead."""
    traces = clock_traces(home, now=now)
    if home.ledger.exists():
        with closing(open_ledger(home)) as ledger:
            runs = ledger.later_than(now, scored_at=now + CLOCK_TOLERANCE)
        if runs:
            traces.append(f"The ledger holds {counted(len(runs), 'score run|score runs')} of a time that has not come.")
    if not traces:
        return None
    what = "A clock was ahead when this home was written to, or is behind now, so nothing was done:"
    return Failure("clock", WorkFailedError(" ".join([what, *traces, REPAIR_CLOCK])))
