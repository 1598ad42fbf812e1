"""Declared metrics: what each kind counts, at every boundary, as known at the cutoff, and what it costs to add one."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.build.build import build
from features.cli import main
from features.definitions.declared import Metric
from features.exceptions import SettingsError
from features.external.take import take_tables
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs, outdated_cutoffs
from features.offline.lineage import feature_lineage
from features.quality.section import inspection_of
from features.quality.values import look_at_values
from features.rollup.count import roll_up
from features.rollup.metrics import count_metrics, empty_metrics, metric_key
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from serving.scoring.reasons import reasons_for
from tests.features.conftest import Log

C = utc(2026, 6, 29)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)

KINDS = {
    "posts": {"of": "count", "where": "method = 'POST'", "windows": ["7d", "28d"]},
    "waited": {"of": "sum", "column": "latency_ms", "windows": ["7d", "28d"]},
    "usual_wait": {"of": "mean", "column": "latency_ms", "where": "method = 'GET'", "windows": ["7d", "28d"]},
    "report_errors": {
        "of": "share",
        "where": "status >= 500",
        "over": "endpoint like '/v1/reports/%'",
        "windows": ["7d", "28d"],
    },
    "writes_per_read": {"of": "ratio", "where": "method = 'POST'", "over": "method = 'GET'", "windows": ["7d", "28d"]},
    "routes": {"of": "distinct", "column": "endpoint", "windows": ["7d", "28d"]},
    "slow": {"of": "percentile", "column": "latency_ms", "percentile": 50, "windows": ["7d", "28d"]},
}

EVENTS = [  # each on a boundary of a window, or beside one
    {"event_time": C, "method": "POST", "endpoint": "/v1/reports/a", "status": 500, "latency_ms": 9e9},
    {"event_time": C - TICK, "method": "POST", "endpoint": "/v1/reports/a", "status": 500, "latency_ms": 100.0},
    {"event_time": C - 7 * DAY, "method": "GET", "endpoint": "/v1/reports/b", "status": 499, "latency_ms": 300.0},
    {"event_time": C - 7 * DAY, "method": "GET", "endpoint": "/v1/orders", "status": 500, "latency_ms": None},
    {
        "event_time": C - 7 * DAY - TICK,
        "method": "POST",
        "endpoint": "/v1/reports/",
        "status": 200,
        "latency_ms": 50.0,
    },
    {"event_time": C - 28 * DAY, "method": "GET", "endpoint": "/v1/reports/a", "status": None, "latency_ms": 0.0},
    {"event_time": C - 28 * DAY - TICK, "method": "POST", "endpoint": "/v1/x", "status": 500, "latency_ms": 7.0},
    {"event_time": C - HOUR, "method": "POST", "endpoint": "/v1/x", "status": 500, "synthetic": True},
]


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    log = Log(tmp_path_factory.mktemp("counted") / "home", metrics=KINDS).add("events", *EVENTS)
    log.add("accounts", {"account_id": "silent", "created_at": C - 90 * DAY, "known_at": C - 90 * DAY})
    return log.declared(C)


def test_each_kind_counts_its_window_and_nothing_else(counted):
    row = counted["a", C]
    assert {name: (row[f"{name}_7d"], row[f"{name}_28d"]) for name in KINDS} == {
        "posts": (1, 2),
        "waited": (400.0, 450.0),
        "usual_wait": (300.0, 150.0),
        "report_errors": (1 / 2, 1 / 4),
        "writes_per_read": (1 / 2, 2 / 3),
        "routes": (3, 4),
        "slow": (pytest.approx(100.0, rel=0.025), pytest.approx(50.0, rel=0.025)),  # from a histogram
    }
    # Counts over nothing are 0, and shares of nothing null.
    row = counted["silent", C]
    assert {name: row[f"{name}_28d"] for name in KINDS} == {
        "posts": 0,
        "waited": 0.0,
        "usual_wait": None,
        "report_errors": None,
        "writes_per_read": None,
        "routes": 0,
        "slow": None,
    }


def test_what_the_log_never_carried_is_null_and_not_0(new_log):
    metrics = {
        "failed": {"of": "count", "where": "status >= 400", "windows": ["28d"]},
        "tokens": {"of": "distinct", "column": "token", "windows": ["28d"]},
        "slow_calls": {"of": "count", "where": "latency_ms > 1000", "windows": ["28d"]},
        "posts": {"of": "count", "where": "method = 'POST'", "windows": ["28d"]},
    }
    log = new_log(metrics=metrics).add("events", {"event_time": C - DAY, "status": None})
    row = log.declared(C)["a", C]
    assert [row[f"{name}_28d"] for name in metrics] == [None, None, None, 0]


def test_an_event_on_which_a_condition_fails_does_not_fulfil_it(new_log):
    metrics = {"big": {"of": "count", "where": "cast(sdk_version as integer) > 1", "windows": ["28d"]}}
    log = new_log(metrics=metrics)
    log.add("events", *({"event_time": C - DAY, "sdk_version": version} for version in ("1", "2", "two", None)))
    assert log.declared(C)["a", C]["big_28d"] == 1


@pytest.mark.parametrize(("arrives", "seen"), [(C + 6 * HOUR - TICK, 1), (C + 6 * HOUR, 0)])
def test_a_late_event_counts_from_the_cutoff_that_could_know_it(new_log, arrives, seen):
    log = new_log(metrics={"requests": {"of": "count", "windows": ["28d"]}})
    log.add("events", {"event_time": C - 20 * DAY}, {"event_time": C - DAY, "ingested_at": arrives})
    rows = log.declared(C, C + 7 * DAY)
    assert (rows["a", C]["requests_28d"], rows["a", C + 7 * DAY]["requests_28d"]) == (1 + seen, 2)


def test_nothing_at_or_after_the_cutoff_changes_a_value(new_log, counted):
    future = [{"event_time": C + hours * HOUR, "method": "POST", "latency_ms": 5.0} for hours in (0, 5, 30)]
    unknown = [{"event_time": C - hours * HOUR, "ingested_at": C + 7 * HOUR, "status": 500} for hours in (1, 200)]
    log = new_log(metrics=KINDS).add("events", *EVENTS, *future, *unknown)
    assert log.declared(C)["a", C] == counted["a", C]


def made_files(settings):
    return {path: path.stat().st_ino for path in settings.home.rglob("*.parquet")}


def test_a_new_metric_counts_only_itself(new_log):
    log = new_log(metrics={"posts": KINDS["posts"]}).add("events", *EVENTS)
    log.table(C)
    before = made_files(log.settings)
    more = Settings(home=log.settings.home, metrics={"posts": KINDS["posts"], "slow": KINDS["slow"]})
    assert roll_up(Home(more)).days_counted == 0
    assert built_cutoffs(Home(more)) == []
    assert build(Home(more), [C], now=C + 9 * DAY).built == (C,)
    assert count_metrics(Home(more)) == 0
    after = made_files(more)
    key, view = metric_key(more.metrics["slow"]), Home(more).catalog.groups[-1]
    new = {path.relative_to(more.home).parts[:2] for path in set(after) - set(before)}
    assert new == {("metrics", key), ("features", view)}
    assert all(after[path] == inode for path, inode in before.items())
    assert built_cutoffs(Home(more)) == [C]


def test_a_new_day_counts_that_day(new_log):
    log = new_log(metrics={"posts": KINDS["posts"], "slow": KINDS["slow"]}).add("events", *EVENTS)
    log.store()
    assert count_metrics(log.home) == 2 * len({event["event_time"].date() for event in EVENTS})
    log.add("events", {"event_time": C - 7 * DAY, "method": "POST", "ingested_at": C + 7 * HOUR}).store()
    assert count_metrics(log.home) == 2


def test_counts_that_change_while_the_rollups_do_not_are_built_again_where_they_are_seen(new_log):
    def calls(latency, *late):
        log.clear("events").add("events", {"event_time": C - 40 * DAY}, {"event_time": C - DAY, "latency_ms": latency})
        log.add("events", {"event_time": C - DAY, "latency_ms": 200.0}, *late).store()
        roll_up(log.home)

    log = new_log(metrics={"waited": KINDS["waited"]})
    calls(100.0)
    before, during, after = cutoffs = [C - DAY, C + 7 * DAY, C + 28 * DAY]  # the days 0, 8 and 29 after the call's
    build(log.home, cutoffs, now=C + 60 * DAY)
    rollups = log.home.stores.rollups.manifest().partitions
    calls(100.4)
    assert log.home.stores.rollups.manifest().partitions == rollups
    assert count_metrics(log.home) == 1
    assert (built_cutoffs(log.home), outdated_cutoffs(log.home)) == ([before, after], [during])
    assert build(log.home, cutoffs, now=C + 60 * DAY).built == (during,)
    assert log.declared(during)["a", during]["waited_28d"] == 300.4
    # Calls that come too late for a cutoff change nothing it sees.
    calls(100.4, {"event_time": C - DAY, "latency_ms": 7.0, "ingested_at": C + 8 * DAY})
    assert count_metrics(log.home) == 1
    assert (built_cutoffs(log.home), outdated_cutoffs(log.home)) == (cutoffs, [])


def test_a_metric_nobody_declares_any_more_is_forgotten(new_log):
    log = new_log(metrics={"posts": KINDS["posts"]}).add("events", *EVENTS)
    log.table(C)
    none = Settings(home=log.settings.home)
    assert build(Home(none), [C], now=C + 9 * DAY).built == ()
    assert built_cutoffs(Home(none)) == [C]
    for name in ("metrics", "features"):
        partitions = ManifestStore(none.home / name).manifest().partitions
        assert not [one for one in partitions if one.startswith(("metric_", "custom_"))]


def test_a_home_without_declared_features_has_no_trace_of_them(log):
    log.add("events", {"event_time": C - DAY}).table(C)
    assert {path.name for path in log.settings.home.iterdir()} == {"events", "raw", "rollups", "features"}


def test_a_metric_whose_condition_nothing_fulfils_is_named(new_log):
    metrics = {
        "gone": {"of": "count", "where": "endpoint = '/v0'", "windows": ["7d"]},
        "none": {"of": "share", "where": "status = 500", "over": "endpoint = '/v0'", "windows": ["7d"]},
        "some": {"of": "count", "windows": ["7d"]},
    }
    log = new_log(metrics=metrics).add("events", {"event_time": C - DAY})
    row = log.declared(C)["a", C]
    assert (row["gone_7d"], row["none_7d"], row["some_7d"]) == (0, None, 1)
    gone, none = empty_metrics(log.home)
    assert gone == "Metric gone: 0 events fulfil `endpoint = '/v0'`, so it is 0 everywhere. Look at its `where`."
    assert none.startswith("Metric none: 0 events fulfil `endpoint = '/v0'`, so it is null everywhere.")


def test_a_metric_of_a_column_nobody_carries_is_named(new_log):
    metrics = {
        "waited": {"of": "sum", "column": "latency_ms", "windows": ["7d"]},
        "usual": {"of": "mean", "column": "latency_ms", "windows": ["7d"]},
        "reads": {"of": "mean", "column": "latency_ms", "where": "method = 'GET'", "windows": ["7d"]},
        "some": {"of": "mean", "column": "status", "windows": ["7d"]},
    }
    log = new_log(metrics=metrics).add("events", {"event_time": C - DAY})
    row = log.declared(C)["a", C]
    assert [row[f"{name}_7d"] for name in metrics] == [None, None, None, 200.0]
    end = "carry latency_ms, so it is null everywhere. Look at its `column`."
    assert empty_metrics(log.home) == [
        f"Metric waited: 0 events {end}",
        f"Metric usual: 0 events {end}",
        f"Metric reads: 0 of 1 events that fulfil `method = 'GET'` {end}",
    ]


def test_an_absurd_latency_stops_no_build(new_log):
    log = new_log(metrics={name: KINDS[name] for name in ("waited", "usual_wait", "slow")})
    log.add("events", *({"event_time": C - DAY, "latency_ms": latency} for latency in (1e30, 100.0, None)))
    row = log.declared(C)["a", C]
    assert (row["waited_7d"], row["usual_wait_7d"]) == (1e12 + 100, (1e12 + 100) / 2)  # 32 years, as a percentile says
    assert row["slow_7d"] == pytest.approx(100.0, rel=0.025)


# ---- what is refused -----------------------------------------------------------------------------

TOML = """\
seed = 3

[metrics.report_errors]
of = "share"
where = "status >= 500"
over = "endpoint like '/v1/reports/%'"
windows = ["7d", "28d"]
title = "failed report calls"
risk = "up"

[metrics.slow]
of = "percentile"
column = "latency_ms"
percentile = 95
windows = ["28d"]

[tables.health]
path = "health/*.parquet"
columns = { nps = { title = "net promoter score", risk = "down" } }
"""
HEALTH = TOML[TOML.index("[tables.health]") :]


def read(tmp_path, text):
    path = tmp_path / "bellwether.toml"
    path.write_text(text)
    return load_settings(path, home=tmp_path / "home")


def test_declared_features_enter_the_catalogue(tmp_path):
    settings = read(tmp_path, TOML)
    catalog = Home(settings).catalog
    assert [feature.name for feature in catalog.features[-4:]] == [
        "report_errors_7d",
        "report_errors_28d",
        "slow_28d",
        "health_nps",
    ]
    assert catalog.families["report_errors"].title == "Failed report calls"
    assert settings.metrics["slow"] == Metric(of="percentile", column="latency_ms", percentile=95, windows=("28d",))


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (4, 'of = "share"', 'of = "shares"', r"metrics\.report_errors\.of: Input should be 'count', 'sum'"),
        (5, "status >= 500", "stats >= 500", r"where: an event has no column stats; it has event_time, endpoint"),
        (5, "status >= 500", "status", r"where: 'status' is SMALLINT, no condition: compare it, as in status >= 500"),
        (5, "status >= 500", "status >", r"where: 'status >' is no condition over one event: syntax error"),
        (5, "status >= 500", "now() > event_time", r"now\(\) gives the same row another value at another time"),
        (5, "status >= 500", "age(event_time) > interval 9 day", r"age\(\) gives the same row another value"),
        (5, "status >= 500", "event_time.age() > interval 9 day", r"age\(\) gives the same row another value"),
        (5, "status >= 500", "event_time > ago(interval 9 day)", r"ago\(\) gives the same row another value"),
        (5, "status >= 500", "event_time < current_date", r"an event has no column current_date"),
        (5, "status >= 500", "random() > 0.5", r"random\(\) gives the same row another value"),
        (5, "status >= 500", "sum(status) > 3", r"aggregates are not allowed"),
        (5, "status >= 500", "status in (select 4)", r"looks at other rows; an expression sees one row"),
        (5, "status >= 500", "unnest([true])", r"UNNEST not supported"),
        (6, "over = ", "ofer = ", r"ofer: there is no such setting; did you mean over"),
        (7, '"28d"]', '"4w"]', r"windows\.1: '4w' is no length in days: write it as 7d or 28d"),
        (7, '["7d", "28d"]', "[]", r"windows: give each window once, and at least one"),
        (7, '"28d"]', '"7d"]', r"windows: give each window once, and at least one"),
        (8, "failed report calls", "failed {calls}", r"a title is one line of at most 80 characters without braces"),
        (9, '"up"', '"upwards"', r"risk: Input should be 'up', 'down'"),
        (11, "[metrics.slow]", "[metrics.Slow]", r"metrics\.Slow: a name is of a-z, 0-9 and _"),
        (11, "[metrics.slow]", "[metrics.slow_x]", r"a name does not end in _x or _y"),
        (11, "[metrics.slow]", "[metrics.silence]", r"metrics\.silence: silence is a feature or a family of features"),
        (11, "[metrics.slow]", "[metrics.calls]", r"metrics\.calls: calls_28d is a feature or a family of features"),
        (11, "percentile = 95\n", "", r"metrics\.slow\.percentile: a percentile needs it; it takes where, column"),
        (13, '"percentile"', '"count"', r"column: a count takes no column; it takes where"),
        (13, '"latency_ms"', '"token"', r"column: a percentile is read from a histogram of latencies"),
        (13, '"latency_ms"', '"synthetic"', r"column: an event has no column 'synthetic'"),
        (18, "path =", "paths =", r"paths: there is no such setting; did you mean path"),
        (19, "nps = { title", "nps = { titel", r"columns\.nps\.titel: there is no such setting; did you mean title"),
        (19, "nps =", "known_at =", r"columns: known_at is a name of ours and no feature"),
        (19, "nps =", "cutoff =", r"columns: cutoff is a name of ours and no feature"),
        (
            17,
            HEALTH,
            HEALTH.replace("health]", "account]").replace("nps", "id"),
            r"tables\.account: account_id is a .*column",
        ),
        (17, HEALTH, HEALTH.replace("health]", "in]").replace("nps", "lead"), r"tables\.in: in_lead is a feature or a"),
        (17, "[tables.health]", "[tables.slow]", None),
    ],
)
def test_a_declaration_that_cannot_be_used_is_named_by_its_line(tmp_path, line, old, new, message):
    assert old in TOML
    text = TOML.replace(old, new, 1)
    if message is None:
        assert "slow_nps" in {feature.name for feature in Home(read(tmp_path, text)).catalog.features}
        return
    with pytest.raises(SettingsError, match=rf"bellwether\.toml line {line}: [^;]*{message}"):
        read(tmp_path, text)


def test_the_example_of_the_readme_works(tmp_path, new_log):
    readme = (Path(__file__).parents[3] / "features" / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- declared:begin -->\n```toml\n(.*?)```", readme, re.DOTALL)
    settings = read(tmp_path, shown[1])
    log = new_log(metrics=settings.metrics, tables=settings.tables)
    for number in range(40):
        status = 503 if number < 5 else 200
        log.add("events", {"event_time": C - DAY, "endpoint": "/v1/reports/{id}", "status": status, "latency_ms": 5.0})
    (log.settings.home / "health").mkdir(parents=True)
    known = pa.array([C - DAY], pa.timestamp("us", tz="UTC"))
    table = {"account_id": ["a"], "event_timestamp": known, "known_at": known, "nps": [-3], "seats": [12]}
    pq.write_table(pa.table(table), log.settings.home / "health" / "june.parquet")
    take_tables(log.home, now=C + 9 * DAY)
    row, catalog = log.declared(C)["a", C], log.home.catalog
    assert (row["report_errors_28d"], row["search_wait_28d"]) == (5 / 40, None)
    (note,) = empty_metrics(log.home)
    assert note.startswith("Metric search_wait: 0 events fulfil `endpoint = '/v1/search'`, so it is null everywhere.")
    features = [catalog.spec(name) for name in ("report_errors_28d", "search_wait_28d", "health_nps")]
    columns = {feature.name: np.array([row[feature.name]], dtype=np.float64) for feature in features}
    (said,) = reasons_for(list(columns), columns, np.array([[0.3, 0.2, 0.1]]), limit=5, catalog=catalog)
    assert [reason.text for reason in said] == [
        "Failed report calls: 12 % in the last 28 days.",
        "Net promoter score: -3, as last known.",
    ]


def test_the_commands_speak_of_declared_features(tmp_path, new_log):
    log = new_log().add("events", {"event_time": C - 40 * DAY}, {"event_time": C - DAY})
    log.store()
    (log.settings.home / "health").mkdir()
    known = pa.array([C - DAY, utc(2999, 1, 1)], pa.timestamp("us", tz="UTC"))
    table = {"account_id": ["a", "a"], "event_timestamp": known, "known_at": known, "nps": [4, 5]}
    pq.write_table(pa.table(table), log.settings.home / "health" / "june.parquet")
    config = tmp_path / "bellwether.toml"
    config.write_text(TOML)

    def run(*arguments):
        found = CliRunner().invoke(main, ["--home", str(log.settings.home), "--config", str(config), *arguments])
        assert found.exit_code == 0, found.output
        return found

    day = f"{C:%Y-%m-%d}"
    planned = run("features", "build", "--from", day, "--to", day, "--plan").stdout
    assert "files of table health" in planned
    built = run("features", "build", "--from", day, "--to", day)
    assert "new rows of table health" in built.stdout
    assert "1 row has a known_at in the future" in built.stderr
    assert "Metric report_errors: 0 events fulfil `endpoint like '/v1/reports/%'`" in built.stderr
    described = run("features", "describe", "--format", "csv")
    assert "report_errors_28d,custom_" in described.stdout
    assert "Metric report_errors: 0 events" in described.stderr
    assert "report_errors, slow" in run("settings").stdout
    checked = look_at_values(inspection_of(Home(load_settings(config, home=log.settings.home)), as_of=C, now=C + DAY))
    said = [one.what for one in checked.findings if "report_errors" in one.what or "health" in one.what]
    assert len(said) == 2


def test_another_grace_counts_metrics_again_and_builds_their_group_again(log):
    metrics = {"failed": Metric(of="count", where="status >= 400", windows=("7d",), title="failures")}
    home = Home(log.settings.model_copy(update={"metrics": metrics}))
    log.add("events", {"event_time": C - DAY}).store()
    assert count_metrics(home) == 1
    assert count_metrics(home) == 0
    other = Home(home.settings.model_copy(update={"grace_hours": 3.0}))
    before, after = (feature_lineage(grace)(next(iter(home.feature_sets)), C, {}) for grace in (home, other))
    assert before != after
    assert count_metrics(other) == 1
