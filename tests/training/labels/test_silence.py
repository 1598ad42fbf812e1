"""Who fell silent after a cutoff, counted by hand."""

import pandas as pd
import pytest

from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.settings.fields import Settings
from features.windows import as_cutoff, days_later, utc
from training.judging.judge import distinct_events
from training.labels.labels import Labels, label, label_silence
from training.labels.targets import target

C = utc(2026, 3, 2)


def at(days: float):
    return days_later(C, days)


def calls(**days: list[float]) -> pd.DataFrame:
    """One row per account and day with a call, from account to days after C."""
    rows = [(account, at(day), at(day + 0.5)) for account, ds in days.items() for day in ds]
    frame = pd.DataFrame(rows, columns=["account_id", "event_day", "last_call"])
    return frame.astype({"event_day": "datetime64[us, UTC]", "last_call": "datetime64[us, UTC]"})


def labelled(settings: Settings, table: pd.DataFrame, *cutoffs, activity=None, complete: float = 99) -> Labels:
    active = activity or (lambda cutoff: pd.Series(1.0, index=table["account_id"].unique()))
    chosen = target("churn_inactivity", Home(settings))
    return label_silence(chosen, table, active, cutoffs or (C,), complete_until=at(complete))


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([-1], 1),
        ([-1, 6], 1),  # in the lead: neither a call of the window nor left out
        ([-1, 7], 0),
        ([-1, 36], 0),
        ([-1, 37], 1),
    ],
)
def test_silence_at_each_boundary(plain: Settings, days, expected):
    frame = labelled(plain, calls(a=days)).frame
    assert frame[["label", "in_lead"]].values.tolist() == [[expected, False]]


def test_the_population_is_who_was_known_to_call_lately(plain: Settings):
    table = calls(a=[-1], b=[-1], c=[-1])
    found = labelled(plain, table, activity=lambda _: pd.Series({"a": 2.0, "b": 0.0, "c": float("nan")}))
    assert found.frame["account_id"].tolist() == ["a"]
    assert found.left_out == {"no_recent_calls": 2, "already_gone": 0}


def test_one_silence_is_one_event_at_every_cutoff_that_sees_it(plain: Settings):
    table = calls(a=[-1, 3, 90], b=[-1, 9, 80])
    frame = labelled(plain, table, C, at(7)).frame
    assert frame[frame["label"] == 1][["account_id", "event_time"]].values.tolist() == [
        ["a", at(3.5)],
        ["a", at(3.5)],
        ["b", at(9.5)],
    ]
    assert distinct_events(frame) == 2


def test_a_label_closes_with_its_window(plain: Settings):
    assert labelled(plain, calls(a=[-1]), complete=37).open_cutoffs == ()
    assert labelled(plain, calls(a=[-1]), complete=36.9).open_cutoffs == (as_cutoff(C),)


def test_without_calls_nothing_is_learnt(plain: Settings):
    chosen = target("churn_inactivity", Home(plain))
    with pytest.raises(WorkFailedError, match=r"There are no calls.*ingest --events"):
        label_silence(chosen, calls(), lambda _: pd.Series(dtype=float), [C], complete_until=None)
    with pytest.raises(InputError, match="not made from subscriptions"):
        label(chosen, pd.DataFrame(), [C], complete_until=C, settings=plain)
