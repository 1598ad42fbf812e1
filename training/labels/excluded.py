"""Which cutoffs lie too near to an abnormal span to be learnt from or judged by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.exceptions import counted, listed
from features.settings.fields import ExcludedSpan
from features.windows import as_cutoff, days_later
from training.labels.targets import Target

__all__ = ["OBSERVED_DAYS", "Excluded", "excluded_by", "nothing_left", "spans_met"]


OBSERVED_DAYS = 28
"""Of the observation before a cutoff that must be normal: the longest window most features look at."""


@dataclass(frozen=True)
class Excluded:
    """One abnormal span, ``[first, end)``, and how many closed cutoffs are left out for it, each for one span."""

    first: str
    end: str
    why: str
    cutoffs: int

    @property
    def in_words(self) -> str:
        """The span, its reason and what it costs."""
        return f"{counted(self.cutoffs, 'cutoff|cutoffs')} near {self.first} to {self.end} ({self.why})"


def spans_met(
    target: Target, cutoffs: Iterable[datetime], spans: Sequence[ExcludedSpan]
) -> dict[datetime, ExcludedSpan]:
    """The cutoffs that are left out, each with the first span it meets.

    A span is met when it has a day in common with the 28 days before the cutoff, the lead or the label window: with
    what the account was seen by lately, or with what is to be foretold.
    """
    met = {}
    for cutoff in sorted(cutoffs):
        begin = days_later(cutoff, -OBSERVED_DAYS)
        end = days_later(cutoff, target.lead_days + target.horizon_days)
        for span in spans:
            if as_cutoff(span.start) < end and begin < as_cutoff(span.end):
                met[cutoff] = span
                break
    return met


def excluded_by(spans: Sequence[ExcludedSpan], met: Mapping[datetime, ExcludedSpan]) -> tuple[Excluded, ...]:
    """Every span with the number of cutoffs it was met by."""
    return tuple(
        Excluded(span.start.isoformat(), span.end.isoformat(), span.why, sum(by is span for by in met.values()))
        for span in spans
    )


def nothing_left(excluded: Sequence[Excluded], target: Target) -> str:
    """What to say when spans leave too little to learn from."""
    spans = listed([f"{span.first} to {span.end} ({span.why})" for span in excluded if span.cutoffs])
    return (
        f"the abnormal spans {spans} leave out {counted(sum(span.cutoffs for span in excluded), 'cutoff|cutoffs')}: "
        f"each that has a day of them among the {OBSERVED_DAYS} days before it or the "
        f"{target.lead_days + target.horizon_days} after. Shorten them under [[exclude]] in bellwether.toml, or load a "
        "longer history."
    )
