import gzip
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError, LockHeldError, SettingsError, WorkFailedError
from features.home.home import Home
from features.home.raw_tables import complete_until, read_events, read_raw
from features.home.secret import pseudonym, secret_key
from features.ingest.ingest import ingest
from features.ingest.quarantine import read_quarantine
from features.settings.load import load_settings
from features.storage.lock import exclusive_lock
from features.windows import utc

NOW = utc(2026, 2, 1)
HEADER = "event_id,account_id,event_time,ingested_at,endpoint,method,status,latency_ms,token"


@pytest.fixture
def settings(tmp_path):
    return load_settings(home=tmp_path / "home", threads=1)


def csv(path, *lines, header=HEADER):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def rows(table, settings, *columns):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    read = read_events(engine, Home(settings)) if table == "events" else read_raw(engine, Home(settings), table)
    got = engine.to_arrow(read.select(*columns) if columns else read).to_pylist()
    engine.close()
    return got if not columns or len(columns) > 1 else [row[columns[0]] for row in got]


def refused(settings, table="events"):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    got = engine.to_arrow(read_quarantine(engine, Home(settings), table).order_by("source_row")).to_pylist()
    engine.close()
    return got


def disk(settings):
    return {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}


def with_sources(settings, **sources):
    return load_settings(home=settings.home, threads=1, sources=sources)


def test_an_event_is_stored_in_canonical_form(tmp_path, settings):
    line = "e1, acme ,2026-01-01T10:00:00+02:00,2026-01-01T10:00:05Z,/v1/orders/5?x=1,get,200,12.5,key-1"
    ingest(Home(settings), now=NOW, events=[csv(tmp_path / "e.csv", line)])
    (row,) = rows("events", settings)
    assert row == {
        "event_id": "e1",
        "account_id": "acme",
        "event_time": utc(2026, 1, 1, 8),
        "ingested_at": utc(2026, 1, 1, 10, 0, 5),
        "endpoint": "/v1/orders/{id}",
        "method": "GET",
        "status": 200,
        "latency_ms": 12.5,
        "token": pseudonym(secret_key(settings.home), "key-1"),
        "user_id": None,
        "sdk": None,
        "sdk_version": None,
        "synthetic": False,
    }
    assert list(Home(settings).stores.events.manifest().partitions) == ["day=2026-01-01"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",,2026-01-01T10:00:00Z,,,,,,", "account_id_missing"),
        (",a b,2026-01-01T10:00:00Z,,,,,,", "account_id_invalid"),
        (",acme,,,,,,,", "event_time_missing"),
        (",acme,yesterday,,,,,,", "event_time_unreadable"),
        (",acme,2026-01-01T10:00:00,,,,,,", "event_time_naive"),
        (",acme,1999-12-31T23:59:59Z,,,,,,", "event_time_too_old"),
        (",acme,2026-01-01T10:05:01Z,2026-01-01T10:00:00Z,,,,,", "event_time_in_future"),
        (",acme,2026-02-01T00:05:01Z,2026-03-01T10:00:00Z,,,,,", "event_time_in_future"),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(tmp_path, settings, line, reason):
    good = "ok,acme,2026-01-01T10:00:00Z,2026-01-01T10:00:00Z,,,,,"
    report = ingest(Home(settings), now=NOW, events=[csv(tmp_path / "e.csv", good, line)])
    assert report.table("events").quarantined == {reason: 1}
    (row,) = refused(settings)
    assert (row["reason"], row["source_file"], row["source_row"]) == (reason, str(tmp_path / "e.csv"), 3)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",acme,2026-01-01T10:00:00Z,,,,99,,", "status_out_of_range"),
        (",acme,2026-01-01T10:00:00Z,,,,600,,", "status_out_of_range"),
        (",acme,2026-01-01T10:00:00Z,,,,200.5,,", "status_unreadable"),
        (",acme,2026-01-01T10:00:00Z,,,,inf,,", "status_unreadable"),
        (",acme,2026-01-01T10:00:00Z,,,,1e30,,", "status_unreadable"),
        (",acme,2026-01-01T10:00:00Z,,,,,-0.1,", "latency_ms_negative"),
        (",acme,2026-01-01T10:00:00Z,,,,,inf,", "latency_ms_unreadable"),
    ],
)
def test_an_optional_value_that_cannot_be_read_is_null_and_told_and_refused_only_when_strict(
    tmp_path, settings, line, reason
):
    file = csv(tmp_path / "e.csv", "ok,acme,2026-01-01T10:00:00Z,2026-01-01T10:00:00Z,,,,,", line)
    strict = load_settings(home=tmp_path / "strict", threads=1, strict_values=True)
    assert ingest(Home(strict), now=NOW, events=[file]).table("events").quarantined == {reason: 1}
    report = ingest(Home(settings), now=NOW, events=[file])
    assert (report.table("events").rows_stored, report.table("events").quarantined) == (2, {})
    column = "status" if reason.startswith("status") else "latency_ms"
    assert rows("events", settings, column) == [None, None]
    assert any(f"{column} is null in 1 row that gave something else" in note for note in report.notes)


@pytest.mark.parametrize(
    "line",
    [
        ",acme,2026-01-01T10:05:00Z,2026-01-01T10:00:00Z,,,,,",
        ",acme,2026-01-01T10:00:00Z,,,,100,0,",
        ",acme,2026-01-01T10:00:00Z,,,,599,36000000,",
        ",acme,2026-01-01T10:00:00Z,,,,,,",
    ],
)
def test_a_row_on_the_edge_of_a_rule_is_good(tmp_path, settings, line):
    report = ingest(Home(settings), now=NOW, events=[csv(tmp_path / "e.csv", line)])
    assert report.table("events").rows_stored == 1


def test_secrets_are_hashed_in_quarantine_too(tmp_path, settings):
    ingest(Home(settings), now=NOW, events=[csv(tmp_path / "e.csv", ",acme,1999-01-01T10:00:00Z,,,,200,,key-1")])
    (row,) = refused(settings)
    assert json.loads(row["given"])["token"] == pseudonym(secret_key(settings.home), "key-1")
    assert all(b"key-1" not in content for content in disk(settings).values())


def test_an_ingest_that_dies_leaves_no_plain_secret(tmp_path, settings, monkeypatch):
    def dies(engine, *_, **__):
        assert [path for path, content in disk(settings).items() if b"key-1" in content or b"/u/ada" in content] == []
        assert {path.stat().st_mode & 0o777 for path in settings.home.glob("*/.scratch-*")} == {0o700}
        raise RuntimeError("killed")

    monkeypatch.setattr("features.ingest.ingest.store_events", dies)
    with pytest.raises(RuntimeError, match="killed"):
        ingest(
            Home(settings),
            now=NOW,
            events=[csv(tmp_path / "e.csv", ",acme,2026-01-01T10:00:00Z,,/u/ada@x.org,,,,key-1")],
        )


def test_the_secret_key_is_for_its_owner_alone(settings):
    assert len(secret_key(settings.home)) == 32
    assert (settings.home / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("event_id", ["e1", "row-1"])  # the second begins as those that are made of a row
def test_of_two_versions_the_earliest_stays_whichever_came_first(tmp_path, settings, event_id):
    early = csv(tmp_path / "early.csv", f"{event_id},acme,2026-01-01T10:00:00Z,2026-01-01T10:00:05Z,,,200,,")
    late = csv(tmp_path / "late.csv", f"{event_id},acme,2026-01-01T10:00:00Z,2026-01-01T10:00:09Z,,,500,,")
    ingest(Home(settings), now=NOW, events=[late])
    report = ingest(Home(settings), now=NOW, events=[early])
    assert rows("events", settings, "status") == [200]
    assert report.table("events").quarantined == {"conflict": 1}
    assert report.table("events").rows_stored == 0
    assert json.loads(refused(settings)[0]["given"])["status"] == "500"


def test_an_event_id_is_unique_within_its_day_only(tmp_path, settings):
    lines = ["e1,acme,2026-01-01T10:00:00Z,,,,,,", "e1,acme,2026-01-02T10:00:00Z,,,,,,"]
    report = ingest(Home(settings), now=NOW, events=[csv(tmp_path / "e.csv", *lines)])
    assert report.table("events").rows_stored == 2


def test_without_ids_identical_rows_are_one_event_as_they_were_before_templating(tmp_path, settings):
    line = ",acme,2026-01-01T10:00:00Z,2026-01-01T10:00:0{}Z,/v1/orders/{},,,,"
    lines = [line.format(1, 5), line.format(2, 5), line.format(1, 6)]
    report = ingest(Home(settings), now=NOW, events=[csv(tmp_path / "e.csv", *lines)])
    assert (report.table("events").rows_stored, report.table("events").duplicates) == (2, 1)
    assert (
        rows("events", settings, "endpoint", "ingested_at")
        == [{"endpoint": "/v1/orders/{id}", "ingested_at": utc(2026, 1, 1, 10, 0, 1)}] * 2
    )


def test_the_same_files_again_change_nothing(tmp_path, settings):
    events = csv(
        tmp_path / "e.csv",
        "e1,acme,2026-01-01T10:00:00Z,2026-01-01T10:00:05Z,,,200,,k",
        "e1,acme,2026-01-01T10:00:00Z,2026-01-01T10:00:09Z,,,500,,k",
        ",acme,2026-01-01T10:00:00Z,,,,,,",
        ",acme,never,,,,,,",
    )
    accounts = csv(tmp_path / "a.csv", "acme,2025-01-01T00:00:00Z", "beta,", header="account_id,created_at")
    ingest(Home(settings), now=NOW, events=[events], accounts=[accounts], backfill=True)
    before = disk(settings)
    report = ingest(Home(settings), now=NOW + timedelta(days=1), events=[events], accounts=[accounts], backfill=True)
    assert disk(settings) == before
    assert [one.rows_stored for one in report.tables] == [0, 0]


events_strategy = st.lists(
    st.tuples(
        st.sampled_from(["", "e1", "e2"]),
        st.sampled_from(["acme", "beta"]),
        st.sampled_from(["2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"]),
        st.sampled_from(["2026-01-02T00:00:01Z", "2026-01-02T00:00:02Z"]),
        st.sampled_from(["/v1/a/1", "/v1/a/2"]),
        st.just("GET"),
        st.sampled_from(["", "200", "500"]),
        st.just("1.5"),
        st.just("key"),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(events_strategy, st.data())
@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_repetition_and_split_gives_the_same_store(tmp_path_factory, made, data):
    folder = tmp_path_factory.mktemp("order")
    lines = [",".join(row) for row in made]
    shuffled = data.draw(st.permutations(lines + data.draw(st.lists(st.sampled_from(lines), max_size=3))))
    cut = data.draw(st.integers(0, len(shuffled)))
    one, other = (load_settings(home=folder / name, threads=1) for name in ("one", "other"))
    secret_key(one.home)
    other.home.mkdir()
    (other.home / "secret.key").write_bytes((one.home / "secret.key").read_bytes())
    ingest(Home(one), now=NOW, events=[csv(folder / "all.csv", *lines)])
    for number, part in enumerate([shuffled[:cut], shuffled[cut:]]):
        ingest(Home(other), now=NOW, events=[csv(folder / f"part{number}.csv", *part)])
    assert Home(one).stores.events.manifest().partitions == Home(other).stores.events.manifest().partitions


def test_parquet_csv_gz_folders_and_globs_are_read(tmp_path, settings):
    folder = tmp_path / "in" / "day=2026-01-01"
    folder.mkdir(parents=True)
    times = pa.array([utc(2026, 1, 1, 1)], pa.timestamp("ns", tz="UTC"))
    pq.write_table(pa.table({"account_id": ["a"], "event_time": times}), folder / "x.parquet")
    with gzip.open(folder / "y.csv.gz", "wt") as file:
        file.write("account_id;event_time\nb;2026-01-01T02:00:00Z\n")
    by_folder = ingest(Home(settings), now=NOW, events=[tmp_path / "in"], backfill=True)
    by_glob = ingest(Home(settings), now=NOW, events=[str(tmp_path / "in" / "*" / "*.parquet")], backfill=True)
    assert (by_folder.table("events").rows_stored, by_glob.table("events").duplicates) == (2, 1)
    assert rows("events", settings, "account_id") == ["a", "b"]
    assert by_folder.events_total == 2


def test_a_mapping_renames_computes_and_converts(tmp_path, settings):
    mapped = with_sources(
        settings,
        events={
            "path_patterns": ["/v1/files/{name}"],
            "columns": {
                "account_id": {"from": "customer"},
                "event_time": {"from": "at", "time_zone": "Europe/Berlin"},
                "ingested_at": {"from": "epoch", "unit": "ms"},
                "latency_ms": {"from": "took", "unit": "s"},
                "status": {"expression": "CASE WHEN ok = 'yes' THEN 200 ELSE 500 END"},
                "endpoint": {"from": "url"},
                "sdk": {"constant": "python"},
            },
        },
    )
    path = csv(
        tmp_path / "e.csv",
        "acme,2026-01-01 10:00:00,1767258000500,0.25,yes,/v1/files/a.pdf",
        header="customer,at,epoch,took,ok,url",
    )
    ingest(Home(mapped), now=NOW, events=[path])
    (row,) = rows("events", settings)
    assert row["event_time"] == utc(2026, 1, 1, 9)
    assert row["ingested_at"] == utc(2026, 1, 1, 9) + timedelta(milliseconds=500)
    assert (row["latency_ms"], row["status"], row["sdk"]) == (250.0, 200, "python")
    assert row["endpoint"] == "/v1/files/{name}"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_an_epoch_is_read_in_its_unit(tmp_path, settings, unit):
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    pq.write_table(pa.table({"account_id": ["a"], "event_time": [1767258000 * factor]}), tmp_path / "e.parquet")
    mapped = with_sources(settings, events={"columns": {"event_time": {"unit": unit}}})
    ingest(Home(mapped), now=NOW, events=[tmp_path / "e.parquet"])
    assert rows("events", settings, "event_time") == [utc(2026, 1, 1, 9)]


def bad_parquet(path):
    pq.write_table(pa.table({"account_id": ["a"] * 1000, "event_time": ["2026-01-01T00:00:00Z"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-20])


def naive_parquet(path):
    pq.write_table(pa.table({"account_id": ["a"], "event_time": pa.array([utc(2026, 1, 1)], pa.timestamp("us"))}), path)


def number_parquet(path):
    pq.write_table(pa.table({"account_id": ["a"], "event_time": [1]}), path)


def torn_csv(path):
    csv(path, "sk_live_secret", header="account_id,event_time")


def naive_csv(path):
    csv(path, "a,2026-01-01", header="account_id,event_time")


def damaged_parquet(path):
    pq.write_table(
        pa.table({"account_id": [f"a{n}" for n in range(50_000)], "event_time": ["2026-01-01T00:00:00Z"] * 50_000}),
        path,
    )
    content = bytearray(path.read_bytes())
    content[1000:3000] = b"\xff" * 2000
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "write", "text"),
    [
        ("cut.parquet", bad_parquet, r"cut.parquet cannot be read as Parquet: .* Nothing was stored"),
        ("damaged.parquet", damaged_parquet, r"damaged.parquet is damaged: .* Nothing was stored"),
        ("torn.csv", torn_csv, r"No line of .*torn.csv can be read; line 2: 1 column instead of 2\. .* stored\.$"),
        ("empty.csv", lambda p: p.write_text(""), r"empty.csv is empty: its first line should name the columns"),
        ("twice.csv", lambda p: p.write_text("a,a\n"), r"twice.csv names a column twice: a. Rename one"),
        ("cut.csv.gz", lambda p: p.write_bytes(gzip.compress(b"a,b\n" * 9999)[:30]), r"cut.csv.gz cannot be read"),
        ("naive.parquet", naive_parquet, r"event_time in naive.parquet have no time zone. .*time_zone = \"UTC\""),
        ("number.parquet", number_parquet, r"event_time in number.parquet holds numbers. .*unit = \"s\""),
        ("naive.csv", naive_csv, r"No row of naive.csv says in which time zone .*time_zone = \"UTC\""),
        ("notes.txt", lambda p: p.write_text("x"), r"notes.txt is none of .parquet, .csv, .jsonl"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_and_nothing_is_stored(tmp_path, settings, name, write, text):
    good = csv(tmp_path / "good.csv", "e1,acme,2026-01-01T10:00:00Z,,,,,,")
    ingest(Home(settings), now=NOW, events=[good])
    before = disk(settings)
    write(tmp_path / name)
    with pytest.raises(InputError, match=text):
        ingest(Home(settings), now=NOW, events=[good, tmp_path / name])
    assert disk(settings) == before


def test_a_path_that_leads_nowhere_is_named(tmp_path, settings):
    with pytest.raises(InputError, match=r"There is no file .*nothing\*.csv"):
        ingest(Home(settings), now=NOW, events=[tmp_path / "nothing*.csv"])
    with pytest.raises(InputError, match=r"holds no file that can be read: \.parquet"):
        ingest(Home(settings), now=NOW, events=[tmp_path])
    with pytest.raises(InputError, match="There is nothing to ingest"):
        ingest(Home(settings), now=NOW)


def test_an_expression_that_cannot_be_used_names_its_column(tmp_path, settings):
    path = csv(tmp_path / "e.csv", "a,2026-01-01T00:00:00Z", header="account_id,event_time")
    for expression in ("nope + 1", "1 +", "sum("):
        mapped = with_sources(settings, events={"columns": {"status": {"expression": expression}}})
        with pytest.raises(
            SettingsError, match=r"columns.status\] has the expression .* Its columns are account_id, event_time"
        ):
            ingest(Home(mapped), now=NOW, events=[path])


def test_a_held_lock_is_told(tmp_path, settings):
    path = csv(tmp_path / "e.csv", "e1,acme,2026-01-01T10:00:00Z,,,,,,")
    with (
        exclusive_lock(Home(settings).stores.events.root),
        pytest.raises(LockHeldError, match="Another process is writing"),
    ):
        ingest(Home(settings), now=NOW, events=[path])


def test_without_ingested_at_the_clock_or_the_event_decides(tmp_path, settings):
    path = csv(tmp_path / "e.csv", "acme,2026-01-01T10:00:00Z", header="account_id,event_time")
    by_clock = ingest(Home(settings), now=NOW, events=[path])
    assert rows("events", settings, "ingested_at") == [NOW]
    assert any("no ingested_at; it was taken from the clock" in note for note in by_clock.notes)
    backfilled = ingest(Home(settings), now=NOW, events=[path], backfill=True)
    assert rows("events", settings, "ingested_at") == [utc(2026, 1, 1, 10)]
    assert any("taken from event_time (backfill)" in note for note in backfilled.notes)
    assert complete_until(Home(settings), "events") == utc(2026, 1, 1, 10)


def test_what_is_missing_ignored_or_alike_is_said_once(tmp_path, settings):
    path = csv(
        tmp_path / "e.csv",
        "acme,2026-01-01T10:00:00Z,x",
        "ACME,2026-01-01T10:00:00Z,x",
        header="account_id,event_time,foo",
    )
    notes = ingest(Home(settings), now=NOW, events=[path]).notes
    text = "\n".join(notes)
    assert "events: 1 column read by nothing: foo." in text
    assert "events: no column for endpoint, method, status, latency_ms" in text
    assert "Account ids that differ only in case stay different accounts: ACME / acme." in text
    assert len(set(notes)) == len(notes)


SUBSCRIPTION = "account_id,occurred_at,known_at,kind,plan,mrr,quota_calls_per_month,term_end"


def test_a_zone_behind_a_time_is_not_overlooked(tmp_path, settings):
    mapped = with_sources(settings, events={"columns": {"event_time": {"time_zone": "Europe/Berlin"}}})
    lines = [f"acme,2026-01-01{time}" for time in ("", " 10:00:00", "T10:00:00 EST", "T10:00:00 Europe/Berlin")]
    report = ingest(Home(mapped), now=NOW, events=[csv(tmp_path / "e.csv", *lines, header="account_id,event_time")])
    assert report.table("events").quarantined == {"event_time_unreadable": 2}
    assert rows("events", settings, "event_time") == [utc(2025, 12, 31, 23), utc(2026, 1, 1, 9)]


def test_a_failure_between_two_publications_loses_nothing(tmp_path, settings, monkeypatch):
    early = csv(tmp_path / "early.csv", "e1,acme,2026-01-01T10:00:00Z,2026-01-01T10:00:05Z,,,200,,", ",,,,,,,,")
    late = csv(tmp_path / "late.csv", "e1,acme,2026-01-01T10:00:00Z,2026-01-01T10:00:09Z,,,500,,")
    ingest(Home(settings), now=NOW, events=[late])
    whole = load_settings(home=tmp_path / "whole", threads=1)
    shutil.copytree(settings.home, whole.home)
    ingest(Home(whole), now=NOW, events=[early])
    replace, published = Path.replace, []

    def fails_once(path, target):
        if path.name == "_manifest.json":
            published.append(target.parent.name)
            if len(published) == 2:
                raise OSError(28, "disk full")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails_once)
    with pytest.raises(WorkFailedError, match="No space left on device"):
        ingest(Home(settings), now=NOW, events=[early])
    assert published == ["quarantine", "events"]
    ingest(Home(settings), now=NOW, events=[early])
    assert rows("events", settings) == rows("events", whole)
    assert refused(settings) == refused(whole)


def test_subscription_events_are_checked_and_repeats_collapse(tmp_path, settings):
    path = csv(
        tmp_path / "s.csv",
        "acme,2026-01-01T00:00:00Z,,start,pro,100,1000,2027-01-01T00:00:00Z",
        "acme,2026-01-01T00:00:00Z,,start,pro,100,1000,2027-01-01T00:00:00Z",
        "acme,2026-06-01T00:00:00Z,2026-01-20T00:00:00Z,cancel,,,,",
        "acme,2026-01-01T00:00:00Z,,resurrect,,,,",
        "acme,2026-01-01T00:00:00Z,,renew,,-1,,",
        "acme,2026-01-01T00:00:00Z,2026-02-02T00:00:00Z,renew,,1,,",
        header=SUBSCRIPTION,
    )
    report = ingest(Home(settings), now=NOW, subscriptions=[path], backfill=True).table("subscriptions")
    assert (report.rows_read, report.rows_stored, report.duplicates) == (6, 3, 1)
    assert report.quarantined == {"kind_unknown": 1, "known_at_in_future": 1}
    assert rows("subscriptions", settings, "kind", "known_at", "source_order") == [
        {"kind": "renew", "known_at": utc(2026, 1, 1), "source_order": 6},  # without the MRR of -1
        {"kind": "start", "known_at": utc(2026, 1, 1), "source_order": 2},
        {"kind": "cancel", "known_at": utc(2026, 1, 20), "source_order": 4},
    ]
    assert complete_until(Home(settings), "subscriptions") == utc(2026, 1, 20)


def test_accounts_are_versioned_by_known_at(tmp_path, settings):
    header = "account_id,segment,created_at,known_at"
    old = csv(tmp_path / "a.csv", "acme,small,2025-01-01T00:00:00Z,", header=header)
    new = csv(
        tmp_path / "b.csv",
        "acme,large,2025-01-01T00:00:00Z,2026-01-01T00:00:00Z",
        "acme,huge,2025-01-01T00:00:00Z,2026-01-01T00:00:00Z",
        header=header,
    )
    report = ingest(Home(settings), now=NOW, accounts=[old, new], backfill=True).table("accounts")
    assert (report.rows_stored, report.quarantined) == (2, {"conflict": 1})
    assert sorted(row["known_at"] for row in rows("accounts", settings)) == [utc(2025, 1, 1), utc(2026, 1, 1)]


def test_touchpoints_are_stored(tmp_path, settings):
    path = csv(
        tmp_path / "t.csv",
        "acme,2026-01-01T00:00:00Z,nps,9",
        "acme,2026-03-01T00:00:00Z,nps,9",
        header="account_id,occurred_at,kind,value",
    )
    report = ingest(Home(settings), now=NOW, touchpoints=[path], backfill=True).table("touchpoints")
    assert (report.rows_stored, report.quarantined) == (1, {"occurred_at_in_future": 1})


def test_complete_until_can_be_declared_but_not_for_the_future(tmp_path, settings):
    path = csv(tmp_path / "t.csv", "acme,2026-01-01T00:00:00Z,nps,9", header="account_id,occurred_at,kind,value")
    ingest(Home(settings), now=NOW, touchpoints=[path], backfill=True, complete_until=utc(2026, 1, 15))
    assert complete_until(Home(settings), "touchpoints") == utc(2026, 1, 15)
    with pytest.raises(InputError, match="lies after 2026-02-01T00:00:00"):
        ingest(Home(settings), now=NOW, touchpoints=[path], backfill=True, complete_until=utc(2026, 3, 1))
