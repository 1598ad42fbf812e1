"""What a build would make and why: one group of a changed definition, and days and records that changed since."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from features import cli
from features.build.build import build
from features.build.records_seen import NOTE, noted_days
from features.build.stale import planned_rows
from features.definitions.catalog import GROUPS, features_of_group
from features.home.home import Home
from features.home.stores import feature_partition
from features.offline import lineage
from features.offline.cutoffs import built_cutoffs, left_out
from features.rollup.count import roll_up
from features.windows import DAY, utc
from tests.features.conftest import Log

C = utc(2026, 6, 29)
OLD = C - 7 * DAY
TICK = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory):
    """Two cutoffs built from a few days of calls; copy it before writing."""
    log = Log(tmp_path_factory.mktemp("pending") / "home")
    log.add("events", *[{"event_time": C - days * DAY} for days in (1, 2, 9, 30)]).store()
    roll_up(log.home)
    build(log.home, [OLD, C], now=C + DAY)
    return log


@pytest.fixture
def made(at_rest, tmp_path):
    """The same in a home of the test's own."""
    return at_rest.copy_to(tmp_path / "home")


@pytest.fixture(scope="module")
def one_day(tmp_path_factory):
    """A log of one call; copy it before writing."""
    log = Log(tmp_path_factory.mktemp("one day") / "home")
    log.add("events", {"event_time": OLD - DAY}).store()
    roll_up(log.home)
    assert build(log.home, [OLD, C], now=C + DAY, groups=["support"]).built == (OLD, C)
    return log


def files(log):
    """Every feature file with the moment it was written, by group."""
    store = log.home.stores.features
    return {
        group: [
            (path.name, path.stat().st_mtime_ns)
            for day in ("2026-06-22", "2026-06-29")
            for path in store.files(f"{group}/cutoff={day}")
        ]
        for group in GROUPS
    }


def plan(log, cutoffs=(OLD, C)):
    return planned_rows(log.home, cutoffs, GROUPS)


def test_a_changed_definition_builds_only_its_group(made, monkeypatch):
    before = files(made)
    monkeypatch.setattr(lineage, "_VERSIONS", {**lineage._VERSIONS, "errors": 2})
    assert built_cutoffs(made.home) == []
    assert plan(made) == [
        {
            "what": "cutoffs of errors",
            "count": 2,
            "first": "2026-06-22",
            "last": "2026-06-29",
            "why": "settings or definition changed",
        }
    ]
    assert build(made.home, [OLD, C], now=C + DAY).built == (OLD, C)
    after = files(made)
    assert [group for group in GROUPS if after[group] != before[group]] == ["errors"]
    assert built_cutoffs(made.home) == [OLD, C]
    assert plan(made) == []


def test_a_changed_column_is_a_changed_definition(made, monkeypatch):
    of_group = features_of_group
    monkeypatch.setattr(lineage, "features_of_group", lambda group: of_group(group)[1 if group == "latency" else 0 :])
    assert [row["what"] for row in plan(made)] == ["cutoffs of latency"]


def test_a_group_that_a_home_does_not_have_yet_is_told_and_built_alone(made):
    newest = GROUPS[-1]
    with made.home.stores.features.writer() as writer:
        for cutoff in (OLD, C):
            writer.remove(feature_partition(newest, cutoff))
    before = files(made)
    assert built_cutoffs(made.home) == []
    (sentence,) = left_out(made.home)
    assert sentence.startswith("2 cutoffs were built under other settings or definitions and left out: 2026-06-29, 2")
    assert [(row["what"], row["count"], row["why"]) for row in plan(made)] == [(f"cutoffs of {newest}", 2, "not built")]
    assert build(made.home, [OLD, C], now=C + DAY).built == (OLD, C)
    assert [group for group in GROUPS if files(made)[group] != before[group]] == [newest]
    assert (built_cutoffs(made.home), left_out(made.home), plan(made)) == ([OLD, C], [], [])


def test_the_plan_names_days_and_tables_that_changed(made):
    made.add("events", {"event_time": C - 3 * DAY, "ingested_at": C + DAY})
    made.add("subscriptions", {"kind": "start", "occurred_at": C - 90 * DAY, "plan": "pro"}).store()
    days, old, new = plan(made)
    assert days == {
        "what": "event days",
        "count": 1,
        "first": "2026-06-26",
        "last": "2026-06-26",
        "why": "new, changed or gone since they were counted",
    }
    assert (old["last"], old["why"]) == ("2026-06-22", "late or new rows in subscriptions")
    assert (new["what"], new["first"]) == ("cutoffs of all groups", "2026-06-29")
    assert new["why"] == "rollups changed on 2026-06-26; late or new rows in subscriptions"
    roll_up(made.home)
    assert plan(made) == [old, new]


def test_a_late_event_builds_only_the_cutoffs_after_its_day(made):
    made.add("events", {"event_time": C - 3 * DAY, "ingested_at": C + DAY}).store()
    roll_up(made.home)
    assert build(made.home, [OLD, C], now=C + DAY).built == (C,)


GRACE = timedelta(hours=6)


@pytest.mark.parametrize(
    ("table", "row", "rebuilt"),
    [
        ("subscriptions", {"known_at": OLD - DAY}, (OLD, C)),
        ("subscriptions", {"known_at": OLD + GRACE - TICK}, (OLD, C)),
        ("subscriptions", {"known_at": OLD + GRACE}, (C,)),
        ("subscriptions", {"known_at": C + GRACE - TICK}, (C,)),
        ("subscriptions", {"known_at": C + GRACE}, ()),
        ("subscriptions", {"occurred_at": OLD, "known_at": OLD - DAY}, (C,)),
        ("subscriptions", {"occurred_at": C - TICK, "known_at": OLD - DAY}, (C,)),
        ("subscriptions", {"occurred_at": C, "known_at": OLD - DAY}, ()),
        ("touchpoints", {"known_at": OLD + GRACE}, (C,)),
        ("touchpoints", {"known_at": C + GRACE}, ()),
        ("accounts", {"known_at": OLD + GRACE - TICK}, (OLD, C)),
        ("accounts", {"known_at": OLD + GRACE}, (C,)),
        ("accounts", {"known_at": C + GRACE}, ()),
        ("accounts", {"known_at": None}, (OLD, C)),
    ],
)
def test_a_record_builds_only_the_cutoffs_that_see_it(one_day, tmp_path, table, row, rebuilt):
    log = one_day.copy_to(tmp_path / "home")
    log.add(table, {"kind": "login", "occurred_at": OLD - 9 * DAY, "account_id": "b", **row}).store()
    assert sum(one["count"] for one in planned_rows(log.home, [OLD, C], ["support"])) == len(rebuilt)
    assert build(log.home, [OLD, C], now=C + DAY, groups=["support"]).built == rebuilt
    assert build(log.home, [OLD, C], now=C + DAY, groups=["support"]).built == ()


def test_a_record_that_says_something_else_is_a_change(made):
    known = {"kind": "start", "occurred_at": OLD - DAY}
    made.add("subscriptions", {**known, "plan": "pro"}).store()
    assert build(made.home, [OLD, C], now=C + DAY).built == (OLD, C)
    made.clear("subscriptions").add("subscriptions", {**known, "plan": "team"}).store()
    assert [row["why"] for row in plan(made)] == ["late or new rows in subscriptions"]
    assert build(made.home, [OLD, C], now=C + DAY).built == (OLD, C)


def test_rows_that_swap_a_value_are_a_change(log):
    """A row's hash mixes its last column in by an exclusive or, so the two changes must not take each other out."""
    answers = [{"kind": "nps", "account_id": name, "occurred_at": OLD - DAY} for name in "ab"]

    def built(*scores):
        log.clear("touchpoints")
        log.add("touchpoints", *[{**row, "value": score} for row, score in zip(answers, scores, strict=True)]).store()
        return build(log.home, [C], now=C + DAY, groups=["support"]).built

    log.add("events", {"event_time": OLD - DAY}).store()
    roll_up(log.home)
    assert built(9.0, 3.0) == (C,)
    assert built(9.0, 3.0) == ()
    assert built(3.0, 9.0) == (C,)
    assert built(4.0, 4.0) == (C,)
    assert built(7.0, 7.0) == (C,)


def test_records_that_did_not_change_are_not_read_again(made, monkeypatch):
    monkeypatch.setattr("features.build.records_seen._counted", lambda *_: pytest.fail("a table was read"))
    assert plan(made) == []
    assert build(made.home, [OLD, C], now=C + DAY).built == ()


def test_what_is_not_built_and_what_is_gone_is_planned(made):
    made.home.stores.features.files("usage/cutoff=2026-06-29")[0].unlink()
    assert [(row["what"], row["count"], row["why"]) for row in plan(made, [C, C + 7 * DAY])] == [
        ("cutoffs of usage", 1, "a file is gone"),
        ("cutoffs of all groups", 1, "not built"),
    ]


def test_what_an_earlier_version_made_is_built_again(made):
    with made.home.stores.features.writer() as writer:
        del writer.lineage["usage/cutoff=2026-06-29"]
    (row,) = plan(made)
    assert (row["what"], row["first"], row["why"]) == ("cutoffs of usage", "2026-06-29", "built by an earlier version")
    assert build(made.home, [OLD, C], now=C + DAY).built == (C,)
    assert plan(made) == []


def test_groups_of_one_cutoff_share_one_list_of_sources(made):
    manifest = json.loads((made.home.stores.features.root / "_manifest.json").read_text())
    assert len(manifest["partitions"]) == 2 * len(GROUPS)
    assert len(manifest["sources"]) == 2


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("output", ["table", "json"])
def test_the_command_writes_nothing(made, monkeypatch, output):
    monkeypatch.setattr(cli, "_now", lambda: C + timedelta(hours=7))
    made.add("events", {"event_time": C - 3 * DAY, "ingested_at": C + DAY}).store()
    before = tree(made.settings.home)
    ended = CliRunner().invoke(cli.main, ["features", "build", "--plan", "--format", output], obj=made.home)
    assert ended.exit_code == 0
    assert tree(made.settings.home) == before
    if output == "json":
        assert [row["what"] for row in json.loads(ended.stdout)] == ["event days", "cutoffs of all groups"]
    else:
        assert "rollups changed on 2026-06-26" in ended.stdout


def test_the_command_says_when_there_is_nothing_to_build(made, monkeypatch):
    monkeypatch.setattr(cli, "_now", lambda: C + timedelta(hours=7))
    build(made.home, [OLD, C], now=C + DAY)
    ended = CliRunner().invoke(cli.main, ["features", "build", "--from", "2026-06-22", "--plan"], obj=made.home)
    assert ended.exit_code == 0
    assert "Nothing to build: 2 cutoffs are as a build would make them." in ended.stderr


def test_what_was_noted_of_the_records_is_of_one_grace(made):
    stores = made.home.stores
    records, features = stores.raw.manifest(), stores.features.manifest()
    other = Home(made.settings.model_copy(update={"grace_hours": 3.0}))
    noted = [noted_days(home, records=records, features=features) for home in (made.home, other)]
    assert noted[0] == features.notes[NOTE]
    assert all(noted[0][name]["made_from"] != noted[1][name]["made_from"] for name in noted[0])
