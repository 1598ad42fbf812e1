"""What a training prints of the features it did not use."""

from dataclasses import replace

from training.models.history import dated
from training.text import train_lines


def test_of_features_that_wait_for_history_the_day_is_said(registered):
    left_out = dict.fromkeys(("mrr", "nps_last", "csat_last", "logins_7d", "plan"), "null in every fitting row")
    left_out["calls_28d_vs_year_ago"] = "needs 392 days of history"
    report = replace(registered.report, left_out=dated(left_out, {"calls_28d_vs_year_ago": "2027-03-01"}))
    text = "\n".join(train_lines(report, verbose=True))
    assert "mrr, nps_last, csat_last, logins_7d, plan and 1 more\n" in text
    assert (
        "\n  calls_28d_vs_year_ago needs 392 days of history; models trained from 2027-03-01 on will read it\n" in text
    )
