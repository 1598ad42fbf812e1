from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from features.windows import utc
from serving.scoring.assess import FeatureRows, applicable
from serving.scoring.freshness import Freshness, Status, age_hours, judge
from training.labels.eligibility import ACTIVITY
from training.labels.eligibility import Status as Applicability

AS_OF = utc(2026, 6, 29)


def judged(*, now: datetime = AS_OF, until: datetime | None = None, **changes: object) -> tuple[Status, str | None]:
    given = {"is_known": True, "mixture": None, "applicable": "ok", "has_called": True, "features_as_of": AS_OF}
    return judge(Freshness(now, 36.0, until), **{**given, **changes})


def test_a_fresh_account_is_scored() -> None:
    assert judged() == (Status.SCORED, None)


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"is_known": False, "features_as_of": None}, Status.UNKNOWN_ACCOUNT, "unknown_account:"),
        ({"applicable": "cancelled"}, Status.NOT_APPLICABLE, "cancelled:"),
        ({"applicable": "too_new"}, Status.NOT_APPLICABLE, "too_new:"),
        ({"applicable": "no_subscription"}, Status.NOT_APPLICABLE, "no_subscription:"),
        ({"applicable": "top_plan"}, Status.NOT_APPLICABLE, "top_plan:"),
        ({"applicable": "no_recent_calls"}, Status.NOT_APPLICABLE, "no_recent_calls:"),
        ({"infinite": "mrr"}, Status.INSUFFICIENT_DATA, "infinite_feature:"),
        ({"has_called": False}, Status.INSUFFICIENT_DATA, "no_calls:"),
        ({"mixture": "mixed_cutoffs"}, Status.STALE, "mixed_cutoffs:"),
        ({"mixture": "mixed_builds"}, Status.STALE, "mixed_builds:"),
        ({"mixture": "mixed_builds", "has_called": False}, Status.STALE, "mixed_builds:"),
        ({"mixture": "mixed_cutoffs", "infinite": "mrr"}, Status.STALE, "mixed_cutoffs:"),
        ({"mixture": "mixed_builds", "applicable": "cancelled"}, Status.NOT_APPLICABLE, "cancelled:"),
    ],
)
def test_what_is_wrong_with_an_account_has_a_status_and_a_word(
    changes: dict[str, object], status: Status, word: str
) -> None:
    found, detail = judged(**changes)
    assert found == status
    assert detail is not None
    assert detail.startswith(word)


def test_calls_of_views_that_do_not_belong_together_say_nothing() -> None:
    calls = {ACTIVITY: np.array([0.0, 0.0, 5.0])}
    rows = FeatureRows(("a", "b", "c"), calls, [AS_OF] * 3, [None, "mixed_builds", None])
    assert applicable("churn_inactivity", rows, {}) == ["no_recent_calls", "ok", "ok"]


@pytest.mark.parametrize("status", [one for one in Applicability if one is not Applicability.OK])
def test_every_reason_why_a_target_does_not_apply_is_in_words(status: Applicability) -> None:
    _, detail = judged(applicable=str(status))
    assert detail is not None
    assert "the target does not apply" not in detail


@pytest.mark.parametrize(("hours", "status"), [(36, Status.SCORED), (36.01, Status.STALE)])
def test_features_are_stale_after_the_hours_that_are_set(hours: float, status: Status) -> None:
    assert judged(now=AS_OF + timedelta(hours=hours))[0] == status


@pytest.mark.parametrize(("hours", "status"), [(36, Status.SCORED), (37, Status.STALE)])
def test_a_silent_source_is_a_fault_and_not_a_silent_customer(hours: float, status: Status) -> None:
    found, detail = judged(until=AS_OF - timedelta(hours=hours))
    assert found == status
    assert detail is None or detail.startswith("source_late: the call log ends at 2026-06-27 11:00 UTC")


@pytest.mark.parametrize(
    ("refused", "word"),
    [
        (None, "old_features:"),
        (AS_OF, "old_features:"),
        (AS_OF + timedelta(days=3), "source_late: the night of 2026-0"),
    ],
)
def test_features_that_are_old_because_the_source_is_late_say_that(refused: datetime | None, word: str) -> None:
    freshness = Freshness(AS_OF + timedelta(days=3), 36.0, AS_OF, refused)
    detail = freshness.too_late(AS_OF)
    assert detail is not None
    assert detail.startswith(word)


def test_features_of_a_time_that_has_not_come_are_not_believed() -> None:
    found, detail = judged(now=AS_OF - timedelta(days=300))
    assert found == Status.STALE
    assert detail is not None
    assert detail.startswith("clock_ahead: the features are of 2026-06-29, which has not come")


def test_age_is_never_negative() -> None:
    assert age_hours(AS_OF, AS_OF - timedelta(hours=3)) == 0.0
    assert age_hours(AS_OF, AS_OF + timedelta(hours=3)) == 3.0
