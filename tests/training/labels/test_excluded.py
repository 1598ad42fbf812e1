"""Cutoffs near an abnormal span teach nothing and are judged by nothing."""

from datetime import date, timedelta

import pandas as pd
import pytest

from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.ingest.late_source import LogEnd
from features.settings.fields import ExcludedSpan
from features.settings.load import load_settings
from features.windows import days_later, utc
from training.labels.dataset import closed_labels
from training.labels.excluded import Excluded, spans_met
from training.labels.labels import Labels
from training.labels.targets import target

C = utc(2026, 3, 2)


def span(start: int, end: int, why: str = "outage") -> ExcludedSpan:
    """From so many days after C until so many days after C."""
    return ExcludedSpan(
        **{"from": (C + timedelta(days=start)).date(), "to": (C + timedelta(days=end)).date(), "why": why}
    )


@pytest.mark.parametrize(
    ("start", "end", "is_met"),
    [
        (-40, -28, False),  # it ends where the observation of 28 days begins
        (-40, -27, True),
        (-3, 0, True),
        (0, 1, True),  # the cutoff lies in it
        (10, 12, True),
        (36, 50, True),
        (37, 50, False),  # the label window ends where it begins
        (-90, 90, True),
    ],
)
def test_a_cutoff_is_left_out_when_a_span_meets_what_it_was_seen_by_or_what_it_foretells(plain, start, end, is_met):
    met = spans_met(target("churn", Home(plain)), [C], [span(start, end)])
    assert list(met) == ([C] if is_met else [])


def test_a_cutoff_near_two_spans_is_left_out_once(plain):
    first, second = span(0, 9, "outage"), span(5, 20, "migration")
    met = spans_met(target("churn", Home(plain)), [days_later(C, 7 * week) for week in range(-10, 11)], [first, second])
    assert [cutoff for cutoff, by in met.items() if by is first] == [days_later(C, 7 * week) for week in range(-5, 6)]
    assert [cutoff for cutoff, by in met.items() if by is second] == [days_later(C, 42)]


@pytest.fixture
def built(monkeypatch):
    """Twenty built Mondays from C on, whose labels are asked for in the list."""
    mondays = [days_later(C, 7 * week) for week in range(20)]
    asked = []
    monkeypatch.setattr("features.offline.cutoffs.built_cutoffs", lambda _: mondays)
    end = LogEnd(utc(2026, 9, 1), timedelta(days=3))
    monkeypatch.setattr("features.offline.default_cutoff.log_end", lambda *_, **__: end)
    monkeypatch.setattr("training.labels.dataset.complete_until", lambda *_: days_later(C, 110))

    def labels(home, aim, cutoffs, complete):
        asked.extend(cutoffs)
        open_cutoffs = tuple(c for c in cutoffs if days_later(c, aim.closing_days) > complete)
        closed = [c for c in cutoffs if c not in open_cutoffs]
        return Labels(pd.DataFrame({"cutoff": closed}), open_cutoffs, {})

    monkeypatch.setattr("training.labels.dataset._labels", labels)
    return mondays, asked


def home_with(tmp_path, *spans: ExcludedSpan) -> Home:
    return Home(load_settings(home=tmp_path / "home").model_copy(update={"exclude": spans}))


def test_nothing_is_learnt_near_an_abnormal_span(tmp_path, built):
    mondays, asked = built
    home = home_with(tmp_path, span(0, 7), span(500, 510, "not yet"))
    labels = closed_labels(home, target("churn_inactivity", home))
    assert asked == mondays[5:]  # 28 days after the span's last: C + 34 is met, C + 35 is not
    assert labels.excluded == (
        Excluded("2026-03-02", "2026-03-09", "outage", 5),
        Excluded(date.isoformat((C + timedelta(days=500)).date()), "2027-07-25", "not yet", 0),
    )


@pytest.mark.parametrize("spans", [[span(-90, 500)], [span(0, 50), span(40, 90, "migration")]])
def test_spans_that_leave_nothing_are_refused_by_name(tmp_path, built, spans):
    home = home_with(tmp_path, *spans)
    with pytest.raises(
        InputError, match=r"Nothing is left to train on: the abnormal spans .*\(outage\).*leave out .*\[\[exclude\]\]"
    ) as refusal:
        closed_labels(home, target("churn_inactivity", home))
    assert refusal.value.exit_code == 2


def test_where_all_labels_are_open_anyway_that_is_said(tmp_path, built, monkeypatch):
    monkeypatch.setattr("training.labels.dataset.complete_until", lambda *_: days_later(C, 30))
    home = home_with(tmp_path, span(0, 7))
    with pytest.raises(WorkFailedError, match="built weekly cutoffs are open"):
        closed_labels(home, target("churn_inactivity", home))
