"""Labelled rows beside their features, and a fingerprint that sees every value."""

import pandas as pd

from training.labels.dataset import fingerprint


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
