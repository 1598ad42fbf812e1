"""Why rows are left out, as people say it."""

import pytest

from training.labels.eligibility import Status
from training.labels.labels import GONE
from training.labels.left_out import IN_LEAD, in_words


@pytest.mark.parametrize(
    ("reason", "target", "count", "words"),
    [
        (IN_LEAD, "churn", 145, "145 rows left out: the account had already cancelled inside the warning time"),
        (IN_LEAD, "upsell", 1, "1 row left out: the account had already upgraded inside the warning time"),
        ("top_plan", "upsell", 1222, "1,222 rows left out: the account was on the largest plan already"),
        (GONE, "churn", 14, "14 rows left out: the account had gone already, which was not known yet"),
        ("from a later version", "churn", 2, "2 rows left out: from a later version"),
    ],
)
def test_left_out_rows_are_told_in_words(reason, target, count, words):
    assert in_words(reason, count, target=target) == words


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_no_code_stands_in_a_sentence(status):
    assert "_" not in in_words(status, 2, target="churn")
    assert in_words(status, 2, target="churn") != f"2 rows left out: {status.replace('_', ' ')}"
