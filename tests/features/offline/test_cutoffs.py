"""A cutoff counts as built only while its rows mean what the settings and definitions of today say."""

from dataclasses import replace

import pytest

from features.build.build import build
from features.definitions.catalog import GROUPS, features_of_group
from features.home.home import Home
from features.offline import lineage
from features.offline.cutoffs import built_cutoffs, left_out, outdated_cutoffs
from features.rollup.count import roll_up
from features.windows import DAY, utc

C = utc(2026, 6, 29)
OLD = C - 7 * DAY


@pytest.fixture
def two_weeks(log, write_features):
    """Two cutoffs built under the settings of the log."""
    write_features(log.settings.home, {"2026-06-22": ["a"], "2026-06-29": ["a", "b"]})
    return log.settings


@pytest.mark.parametrize(
    "changed", [{"slow_call_ms": 500.0}, {"grace_hours": 3.0}, {"value_endpoints": ("/v1/orders",)}]
)
def test_another_setting_leaves_old_cutoffs_out_by_name(two_weeks, changed):
    assert (built_cutoffs(Home(two_weeks)), outdated_cutoffs(Home(two_weeks))) == ([OLD, C], [])
    other = two_weeks.model_copy(update=changed)
    assert (built_cutoffs(Home(other)), outdated_cutoffs(Home(other))) == ([], [OLD, C])
    (sentence,) = left_out(Home(other))
    assert sentence.startswith("2 cutoffs were built under other settings or definitions and left out: 2026-06-29, 2")
    assert sentence.endswith("Run `bellwether features build` to build them again.")


def test_a_raised_version_leaves_old_cutoffs_out(two_weeks, monkeypatch):
    monkeypatch.setattr(lineage, "_VERSION", lineage._VERSION + 1)
    assert (built_cutoffs(Home(two_weeks)), outdated_cutoffs(Home(two_weeks))) == ([], [OLD, C])


def test_a_changed_definition_leaves_old_cutoffs_out(two_weeks, monkeypatch):
    fewer = {group: features_of_group(group)[1:] for group in GROUPS}
    monkeypatch.setattr(lineage, "features_of_group", fewer.__getitem__)
    assert built_cutoffs(Home(two_weeks)) == []


def test_nothing_is_left_out_where_all_means_the_same(two_weeks):
    assert left_out(Home(two_weeks)) == []


def test_a_setting_that_changes_no_feature_keeps_them(two_weeks):
    assert built_cutoffs(Home(two_weeks.model_copy(update={"horizon_days": 60, "grace_hours": 6}))) == [OLD, C]


def test_building_again_makes_them_count(log):
    log.add("events", {"event_time": C - DAY}).store()
    roll_up(log.home)
    build(log.home, [OLD, C], now=C + DAY)
    other = log.settings.model_copy(update={"slow_call_ms": 50.0})
    roll_up(Home(other))
    build(Home(other), [C], now=C + DAY)
    assert (built_cutoffs(Home(other)), outdated_cutoffs(Home(other))) == ([C], [OLD])
    assert (built_cutoffs(log.home), outdated_cutoffs(log.home)) == ([OLD], [C])


def test_groups_made_from_different_sources_are_no_built_cutoff(two_weeks):
    with Home(two_weeks).stores.features.writer() as writer:
        partition = "errors/cutoff=2026-06-29"
        writer.lineage[partition] = replace(writer.lineage[partition], sources={"day=1": "other"})
    assert (built_cutoffs(Home(two_weeks)), outdated_cutoffs(Home(two_weeks))) == ([OLD], [C])
