"""The shift of several champions as one part of the report."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import CATALOG
from features.home.home import Home
from features.quality.section import Inspection
from features.settings.fields import Settings
from features.windows import as_cutoff, utc
from tests.serving.conftest import make_bundle
from training.models.bundle import Bundle
from training.watching.drift import baseline_of
from training.watching.quality import MODEL_PARTS, Shifted, calendar_note, findings_of, shifted_since

CALLS = pd.Series(np.arange(1.0, 201.0))
PLANS = pd.Series(["free", "pro"] * 100, dtype=object)


@pytest.fixture(scope="module")
def fitted() -> Bundle:
    """A bundle that was fitted on two hundred accounts with 1 to 200 calls, half of them free."""
    statistics = {"calls_28d": baseline_of(CALLS, "int"), "plan": baseline_of(PLANS, "category")}
    span = {"registered": ("2026-01-05", "2026-03-30")}
    return replace(make_bundle(rows=300), features=("calls_28d", "plan"), statistics=statistics, spans=span)


def shifted(fitted: Bundle, calls: pd.Series, plans: pd.Series, *, target: str = "churn") -> Shifted:
    values = {"calls_28d": calls.tolist(), "plan": plans.tolist()}
    return shifted_since(fitted, values, target_name=target, version="3", accounts=len(calls))


def test_the_population_of_the_fitting_has_no_findings(fitted: Bundle) -> None:
    found = shifted(fitted, CALLS, PLANS)
    assert set(found.shifts) == {"calls_28d", "plan"}
    assert list(findings_of([found])) == []


def test_what_moved_is_told_once_for_all_champions(fitted: Bundle) -> None:
    moved = shifted(fitted, CALLS * 2, PLANS)
    (finding,) = findings_of([moved, replace(moved, target="upsell")])
    assert finding.what == (
        "1 feature is spread otherwise than in the fitting of churn version 3 (2026-01-05 to 2026-03-30), "
        "upsell version 3 (2026-01-05 to 2026-03-30): calls_28d (2.24, over 198: 1 % to 50 %)."
    )
    assert "`bellwether train --target churn`, `bellwether train --target upsell`" in finding.remedy
    assert finding.is_remark


def test_features_that_went_missing_and_new_values_are_told(fitted: Bundle) -> None:
    missing, new = list(findings_of([shifted(fitted, CALLS.where(CALLS > 100), PLANS.replace("pro", "Pro"))]))[-2:]
    assert missing.what.startswith("1 feature is null for many more accounts than in the fitting of churn version 3")
    assert missing.what.endswith("calls_28d (0 % to 50 %).")
    assert new.what.startswith("plan has values that were not there in the fitting of churn version 3")
    assert "Pro. A model takes them all for one." in new.what


def test_a_bundle_without_baselines_is_blind(fitted: Bundle) -> None:
    assert shifted(replace(fitted, statistics={}), CALLS, PLANS).is_blind
    assert not shifted(fitted, CALLS, PLANS).is_blind


def test_without_a_champion_the_shift_is_said_to_be_missing(settings: Settings) -> None:
    (part,) = MODEL_PARTS
    section = part.look(Inspection(Home(settings), utc(2026, 6, 29), (), utc(2026, 6, 29, 12), is_past=False))
    assert section.findings == ()
    assert section.note == "No target has a champion yet, so the shift is missing: there is no baseline."


def test_what_moves_with_the_calendar_is_named_apart_and_raises_no_alarm(fitted: Bundle) -> None:
    kinds = {"calls_28d": "int", "tenure_days": "float", "days_to_quota": "int"}
    statistics = {name: baseline_of(CALLS, kind) for name, kind in kinds.items()}
    older = replace(fitted, features=tuple(kinds), kinds=kinds, statistics=statistics)
    values = {"calls_28d": CALLS.tolist(), "tenure_days": (CALLS + 150).tolist(), "days_to_quota": CALLS.tolist()}
    found = shifted_since(older, values, target_name="churn", version="3", accounts=len(CALLS))
    assert list(findings_of([found])) == []
    assert calendar_note([found]) == (
        "By the calendar alone, which is no finding: tenure_days (6.40, over 198: 1 % to 76 %)."
    )
    alarmed = shifted_since(
        older, values | {"calls_28d": (CALLS * 2).tolist()}, target_name="churn", version="3", accounts=len(CALLS)
    )
    (finding,) = findings_of([alarmed])
    assert "calls_28d" in finding.what
    assert "tenure_days" not in finding.what
    assert "calendar" not in finding.remedy
    lost = shifted_since(
        older, values | {"tenure_days": [None] * len(CALLS)}, target_name="churn", version="3", accounts=len(CALLS)
    )
    assert ["tenure_days (0 % to 100 %)" in finding.what for finding in findings_of([lost])] == [True]


def test_a_count_over_more_days_than_the_log_had_grows_by_the_age_of_the_log(fitted: Bundle) -> None:
    kinds = dict.fromkeys(("calls_28d", "calls_91d", "payment_failures_91d"), "int")
    statistics = {name: baseline_of(CALLS, kind) for name, kind in kinds.items()}
    older = replace(fitted, features=tuple(kinds), kinds=kinds, statistics=statistics)
    values = {name: (CALLS * 2).tolist() for name in kinds}

    def told(log_start: str) -> tuple[str, str | None]:
        found = shifted_since(
            older, values, target_name="churn", version="3", accounts=len(CALLS), log_start=as_cutoff(log_start)
        )
        (finding,) = findings_of([found])
        return finding.what, calendar_note([found])

    what, note = told("2025-12-08")  # 28 days before the first cutoff of the fitting
    assert "2 features are spread" in what
    assert "calls_91d" not in what
    assert note == "By the calendar alone, which is no finding: calls_91d (2.24, over 198: 1 % to 50 %)."
    what, note = told("2025-10-06")  # 91 days before it
    assert "3 features are spread" in what
    assert note is None


def test_the_calendar_features_are_those_that_move_though_nobody_does_anything() -> None:
    assert {feature.name for feature in CATALOG if feature.is_calendar} == {
        "account_age_days",
        "days_in_stage",
        "days_since_survey",
        "days_to_quota",
        "days_to_term_end",
        "sdk_version_age_days",
        "tenure_days",
    }
