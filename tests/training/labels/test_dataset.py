"""Labelled rows beside their features, and a fingerprint that sees every value."""

from datetime import timedelta

import pandas as pd
import pytest

from features.exceptions import WorkFailedError
from features.home.home import Home
from features.ingest.late_source import LogEnd
from features.windows import utc
from training.labels.dataset import closed_labels, fingerprint
from training.labels.targets import target


def test_the_fingerprint_sees_values_nulls_names_and_order():
    frame = pd.DataFrame({"a": [1.0, None], "b": ["x", None]})
    changed = [
        frame.assign(a=[1.0, 0.0]),
        frame.assign(b=["x", "None"]),
        frame.rename(columns={"a": "c"}),
        frame.iloc[::-1],
    ]
    assert fingerprint(frame.copy()) == fingerprint(frame)
    assert len({fingerprint(other) for other in [frame, *changed]}) == 5


def test_rows_in_the_lead_join_only_when_asked(small_company):
    dataset, _ = small_company
    everything, kept = dataset.rows(dataset.cutoffs, with_lead=True), dataset.rows(dataset.cutoffs)
    assert len(everything) - len(kept) == dataset.frame["in_lead"].sum() > 0


def test_no_feature_is_a_label_or_a_key(small_company):
    dataset, _ = small_company
    assert {feature.name for feature in dataset.features}.isdisjoint(
        {"account_id", "cutoff", "label", "event_time", "in_lead"}
    )


def test_no_label_is_made_at_a_cutoff_of_silence(settings, monkeypatch):
    mondays = [utc(2024, 2, 26), utc(2024, 3, 4), utc(2024, 3, 11)]
    monkeypatch.setattr("features.offline.cutoffs.built_cutoffs", lambda _: mondays)
    monkeypatch.setattr(
        "features.offline.default_cutoff.log_end", lambda *_, **__: LogEnd(utc(2024, 3, 3, 22), timedelta(days=3))
    )
    asked = []

    def labels(home, target, cutoffs, complete):
        asked.extend(cutoffs)
        raise WorkFailedError("enough")

    monkeypatch.setattr("training.labels.dataset._labels", labels)
    with pytest.raises(WorkFailedError, match="enough"):
        closed_labels(Home(settings), target("churn", Home(settings)))
    assert asked == mondays[:2]
