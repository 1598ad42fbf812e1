"""Nulls and ranges: every rule of a feature planted broken once, and a row that holds to all of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.catalog import CATALOG, GROUPS, cutoff_day_field, features_of_group, spec
from features.definitions.feature import Nulls
from features.home.home import Home
from features.offline.files import ARROW_TYPES, file_schema
from features.offline.lineage import feature_lineage
from features.quality.section import Inspection, inspection_of
from features.quality.values import Looked, look_at_values, looked_at
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from features.windows import as_cutoff, cutoff_day, utc

DAYS = ("2026-05-25", "2026-06-01", "2026-06-08")
ACCOUNTS = tuple("abcdefghij")


def looked(name: str, *values: object, before: tuple[float, ...] = ()) -> Looked:
    feature = spec(name)
    accounts = pa.array([f"a{place}" for place in range(len(values))], pa.string())
    rows = pa.table({"account_id": accounts, name: pa.array(values, ARROW_TYPES[feature.kind])})
    return looked_at(feature, rows, before)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("calls_7d", (0, None)),
        ("active_days_28d", (0, 28)),
        ("days_since_last_call", (0, None)),  # a state has no window to lie in
        ("days_since_last_error_burst", (0, None)),  # days since are no count of days
        ("error_days_28d", (0, 28)),
        ("error_rate_7d", (0, 1)),
        ("narrow_use_28d", (0, 1)),
        ("quota_used_share_28d", (0, None)),  # more than the whole quota can be used
        ("calls_volatility_28d", (0, None)),
        ("calls_weekly_slope_91d", (None, None)),
        ("days_to_term_end", (None, None)),  # negative when it has passed
        ("plan", (None, None)),
    ],
)
def test_bounds_follow_from_unit_window_and_words(name: str, bounds: tuple[float | None, float | None]) -> None:
    assert spec(name).bounds == bounds


@pytest.mark.parametrize(
    ("name", "nulls"),
    [
        ("calls_7d", Nulls.NOBODY),
        ("active_users_7d", Nulls.ALL_OR_NOBODY),
        ("plan_changes_364d", Nulls.ALL_OR_NOBODY),
        ("error_rate_7d", Nulls.ANYBODY),
    ],
)
def test_who_may_be_null_follows_from_the_words_of_the_null_rule(name: str, nulls: Nulls) -> None:
    assert spec(name).nulls is nulls


@pytest.mark.parametrize(
    ("name", "values", "outside"),
    [
        ("calls_7d", (0, 5, -1), ("a2",)),
        ("active_days_7d", (0, 7, 8), ("a2",)),
        ("error_rate_7d", (0.0, 1.0, 1.0 + 1e-12, None), ()),  # a rounding is no finding
        ("error_rate_7d", (-0.1, 1.1, 0.5), ("a0", "a1")),
        ("latency_p95_ms_7d", (float("inf"), float("nan"), 0.0), ("a0", "a1")),
        ("calls_weekly_slope_91d", (-3.0, float("-inf")), ("a1",)),
        ("plan", ("pro", "", "  ", None), ("a1", "a2")),
    ],
)
def test_a_value_outside_its_bounds_is_found(name: str, values: tuple[object, ...], outside: tuple[str, ...]) -> None:
    assert looked(name, *values).outside == outside


@pytest.mark.parametrize(
    ("name", "values", "breaks"),
    [
        ("calls_7d", (0, 1), False),
        ("calls_7d", (0, None), True),
        ("active_users_7d", (None, None), False),
        ("active_users_7d", (0, None), True),
        ("error_rate_7d", (0.1, None), False),
    ],
)
def test_a_null_against_its_rule_is_found(name: str, values: tuple[object, ...], breaks: bool) -> None:
    assert looked(name, *values).breaks_null_rule is breaks


def test_nulls_are_compared_with_the_cutoffs_before() -> None:
    half = (None,) * 50 + (0.5,) * 50
    assert looked("error_rate_7d", *half, before=(0.2, 0.3)).nulls_rose
    assert not looked("error_rate_7d", *half, before=(0.2, 0.45)).nulls_rose
    assert not looked("error_rate_7d", *half).nulls_rose
    # Two of four is what chance makes of one in four.
    assert not looked("error_rate_7d", None, None, 0.5, 0.5, before=(0.25,)).nulls_rose
    assert looked("error_rate_7d", None, None, before=(0.3,)).went_null
    assert not looked("error_rate_7d", None, None, before=(0.3, 1.0)).went_null
    assert not looked("days_since_last_error_burst", None, None, before=(0.99,)).went_null


# ---- the section, over files ----


def write(home: Path, **newest: list[object]) -> Settings:
    """Ten accounts at three cutoffs whose values hold to every rule; ``newest`` replaces some at the last."""
    usual = {"float": 0.5, "int": 1, "category": "pro"}
    settings = Settings(home=home)
    lineage_of = feature_lineage(Home(settings))
    with ManifestStore(home / "features").writer() as writer:
        for day, group in itertools.product(DAYS, GROUPS):
            changed = newest if day == DAYS[-1] else {}
            columns = {
                feature.name: changed.get(feature.name, [usual[feature.kind]] * len(ACCOUNTS))
                for feature in features_of_group(group)
            }
            keys = {"account_id": ACCOUNTS, "event_timestamp": [as_cutoff(day)] * len(ACCOUNTS)}
            table = {**keys, cutoff_day_field(group): [cutoff_day(as_cutoff(day))] * len(ACCOUNTS), **columns}
            staged = writer.scratch / f"{group}-{day}"
            pq.write_table(pa.table(table, file_schema(group)), staged)
            writer.replace(
                f"{group}/cutoff={day}", {group: staged}, lineage=lineage_of(group, as_cutoff(day), {"day=1": "test"})
            )
    return settings


def inspection(settings: Settings) -> Inspection:
    return inspection_of(Home(settings), as_of=None, now=utc(2026, 6, 8, 12))


def test_a_sound_table_has_no_findings(tmp_path: Path) -> None:
    section = look_at_values(inspection(write(tmp_path)))
    assert section.findings == ()
    assert section.shown == ()
    assert len(section.rows) == len(CATALOG)
    assert section.note == f"{len(CATALOG)} features, none with a problem; `--json FILE` has all."


def test_each_planted_fault_is_told_with_who_and_what_to_do(tmp_path: Path) -> None:
    settings = write(
        tmp_path,
        calls_28d=[None, *[3] * 9],
        error_rate_7d=[1.5, *[0.5] * 9],
        latency_p50_ms_28d=[float("inf"), *[None] * 9],
        calls_weekly_slope_91d=[float("nan"), *[-0.1] * 9],
        plan=["", *["pro"] * 9],
        write_share_28d=[None] * 10,
        weekend_share_28d=[None] * 6 + [0.2] * 4,
    )
    section = look_at_values(inspection(settings))
    said = [(finding.what, finding.is_remark) for finding in section.findings]
    assert said == [
        ("calls_28d is null for 1 of 10 accounts, against its rule (never null; 0 over nothing): a.", False),
        ("calls_weekly_slope_91d is infinite or no number for 1 account: a.", False),
        ("error_rate_7d is not within 0 to 1 for 1 account: a.", False),
        ("latency_p50_ms_28d is not within 0 to any number for 1 account: a.", False),
        ("plan is a text without a letter for 1 account: a.", False),
        ("1 feature is null for every account, and had values at the cutoffs before: write_share_28d.", False),
        (
            (
                "2 features are null for many more accounts than at any of the cutoffs before: "
                "latency_p50_ms_28d (0 % to 90 %), weekend_share_28d (0 % to 60 %)."
            ),
            True,
        ),
    ]
    assert all(finding.remedy for finding in section.findings)
    assert [row["feature"] for row in section.shown or ()] == [
        "calls_28d",
        "calls_weekly_slope_91d",
        "weekend_share_28d",
        "error_rate_7d",
        "latency_p50_ms_28d",
        "write_share_28d",
        "plan",
    ]
