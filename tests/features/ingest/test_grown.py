"""Calls count once however their files grow, are renamed, packed or exported again; those of two machines twice."""

import bz2
import gzip
import json
import lzma
import random
import zipfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError, SettingsError
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.ingest import ingest
from features.ingest.quarantine import read_quarantine
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 2, 1)
ACCESS_LOG = {
    "format": '$remote_addr - - [$time_local] "$request" $status $request_time "$http_x_account_id"',
    "columns": {
        "account_id": {"from": "http_x_account_id"},
        "event_time": {"from": "time_local"},
        "endpoint": {"from": "uri"},
    },
}
JSON_LOG = {"format": "json"}
SOURCES = {"log": ACCESS_LOG, "json log": JSON_LOG, "json": {}, "csv": {}, "parquet": {}}
NAMES = {"log": "access.log", "json log": "calls.jsonl", "json": "calls.jsonl", "csv": "calls.csv"}
PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip")


def calls(*seconds, account="acme"):
    return [
        {"account_id": account, "event_time": f"2026-01-01T10:{s // 60:02d}:{s % 60:02d}Z", "endpoint": "/v1/a"}
        for s in seconds
    ]


def line(call):
    time, request = call["event_time"][11:19], f"GET {call['endpoint']} HTTP/1.1"
    return f'10.0.0.7 - - [01/Jan/2026:{time} +0000] "{request}" 200 0.012 "{call["account_id"]}"'


def text(kind, rows):
    if kind == "log":
        return "".join(line(row) + "\n" for row in rows)
    if kind.startswith("json"):
        return "".join(json.dumps(row) + "\n" for row in rows)
    return "".join(",".join(map(str, values)) + "\n" for values in [list(rows[0]), *(row.values() for row in rows)])


def put(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    middle = len(content) // 2
    packers = {
        ".gz": lambda: gzip.compress(content[:middle]) + gzip.compress(content[middle:]),  # appended as a second member
        ".zst": lambda: pa.Codec("zstd").compress(content, asbytes=True),
        ".xz": lambda: lzma.compress(content),
        ".bz2": lambda: bz2.compress(content),
    }
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(path.stem, content)
    else:
        path.write_bytes(packers.get(path.suffix, lambda: content)())
    return path


def write(kind, path, rows):
    if kind != "parquet":
        return put(path, text(kind, rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def home(tmp_path):
    def declared(**events):
        return Home(load_settings(home=tmp_path / "home", threads=1, sources={"events": events}))

    return declared


def take(home, *paths):
    return ingest(home, now=NOW, events=paths, backfill=True)


def stored(home, *columns):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    rows = engine.to_arrow(read_events(engine, home)).to_pylist()
    engine.close()
    return sorted(tuple(row[name] for name in columns) for row in rows)


def refused(home):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    rows = engine.to_arrow(read_quarantine(engine, home, "events").order_by("source_row")).to_pylist()
    engine.close()
    return [row["reason"] for row in rows]


def note(report, words):
    (text,) = [text for text in report.notes if words in text]
    return text


# ---- two machines ----


@pytest.mark.parametrize(
    ("kind", "together"), [("log", False), ("json log", True), ("json", True), ("csv", True), ("parquet", True)]
)
def test_equal_rows_of_two_machines_are_kept_apart_by_the_names_of_their_files(tmp_path, home, kind, together):
    name = NAMES.get(kind, "calls.parquet")
    web1 = write(kind, tmp_path / "web1" / name, calls(1, 2, 3))
    web2 = write(kind, tmp_path / "web2" / name, calls(2, 3, 4))
    company = home(**SOURCES[kind], distinct_files="host")
    for paths in [[web1, web2]] if together else [[web2], [web1]]:
        report = take(company, *paths)
    assert report.events_total == 6
    again = take(company, web1, web2)
    assert (again.table("events").rows_stored, again.table("events").duplicates) == (0, 6)
    assert note(again, "keeps equal rows") == (
        "events: distinct_files keeps equal rows of different machines apart: web1 (1 file), web2 (1 file)."
    )


def test_a_machine_stays_the_same_when_its_log_grows_is_rotated_and_packed(tmp_path, home):
    company = home(**ACCESS_LOG, distinct_files="host")
    take(company, write("log", tmp_path / "web1" / "access.log", calls(*range(40))))
    rotated = [write("log", tmp_path / "web1" / f"access.log.1{ending}", calls(*range(60))) for ending in ("", *PACKED)]
    other = write("log", tmp_path / "web2" / "access.log", calls(*range(10)))
    assert take(company, tmp_path / "web1" / "access.log", *rotated, other).events_total == 70


def test_a_machine_whose_files_lie_in_several_named_folders_is_told(tmp_path, home):
    logs = [write("log", tmp_path / host / "orders-access.log", calls(1)) for host in ("web1", "web2")]
    report = take(home(**ACCESS_LOG, distinct_files="host"), *logs)
    assert note(report, "takes orders for one machine") == (
        "events: distinct_files takes orders for one machine, and its files lie in web1, web2. Where these are the "
        'machines, say so in a new home: distinct_files = "{host}/*".'
    )


def test_machines_that_are_named_otherwise_than_before_are_refused(tmp_path, home):
    log = write("log", tmp_path / "web1" / "access.log", calls(1))
    take(home(**ACCESS_LOG, distinct_files="host"), log)
    columns = {**ACCESS_LOG["columns"], "host": {"from": "remote_addr"}}
    text = 'The machines of stored events were named by distinct_files = "host", and .* says host = remote_addr'
    for other in ({**ACCESS_LOG, "distinct_files": "{host}/*"}, {**ACCESS_LOG, "columns": columns}):
        with pytest.raises(SettingsError, match=text if "distinct_files" not in other else "were named by"):
            take(home(**other), log)
    assert take(home(**ACCESS_LOG, distinct_files="host"), log).events_total == 1


def test_a_file_that_names_no_machine_is_refused(tmp_path, home):
    logs = [write("log", tmp_path / "logs" / name, calls(1)) for name in ("web1-access.log", "access.log")]
    text = r"1 of 2 files do not say in path or name which machine it is of: \S*/logs/access.log\. .* = \"\{host\}/\*\""
    with pytest.raises(InputError, match=text):
        take(home(**ACCESS_LOG, distinct_files="host"), *logs)


def test_only_events_have_machines(tmp_path, home):
    settings = load_settings(home=tmp_path / "home", threads=1, sources={"accounts": {"distinct_files": "host"}})
    accounts = put(tmp_path / "accounts.csv", "account_id\nacme\n")
    with pytest.raises(SettingsError, match=r"\[sources.accounts\] has distinct_files, which only events have"):
        ingest(Home(settings), now=NOW, accounts=[accounts])


def test_a_mapped_column_names_the_machine_and_is_not_stored(tmp_path, home):
    rows = [{**call, "node": node} for call in calls(1, 1, 2) for node in ("n1", "n2", "-")]
    path = write("csv", tmp_path / "calls.csv", rows)
    company = home(columns={"host": {"from": "node"}})
    report = take(company, path)
    # A row that does not say its machine is one of those that do.
    assert report.events_total == 4
    assert report.table("events").duplicates == 5
    assert "host" not in read_columns(company)
    assert take(company, path).events_total == 4


def read_columns(home):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    columns = read_events(engine, home).columns
    engine.close()
    return columns


def test_of_columns_an_event_does_not_have_only_the_host_may_be_mapped(tmp_path, home):
    path = write("csv", tmp_path / "calls.csv", calls(1))
    with pytest.raises(SettingsError, match="names machine, which the table events does not have"):
        take(home(columns={"machine": {"constant": "n1"}}), path)
    with pytest.raises(SettingsError, match=r"host.* takes from, constant or expression alone"):
        take(home(columns={"host": {"from": "endpoint", "hashed": True}}), path)


def test_declaring_the_machines_later_counts_nothing_twice_and_brings_back_what_was_lost(tmp_path, home):
    web1 = write("log", tmp_path / "web1" / "access.log", calls(1, 2, 3))
    web2 = write("log", tmp_path / "web2" / "access.log", calls(2, 3, 4))
    take(home(**ACCESS_LOG), web1, web2)
    before = stored(home(**ACCESS_LOG), "event_time", "ingested_at")
    assert len(before) == 4
    company = home(**ACCESS_LOG, distinct_files="host")
    later = ingest(company, now=utc(2026, 3, 1), events=[web1])
    assert (later.events_total, later.table("events").rows_stored) == (4, 0)
    assert stored(company, "event_time", "ingested_at") == before  # known since then
    assert ingest(company, now=utc(2026, 3, 1), events=[web2]).events_total == 6
    assert take(home(**ACCESS_LOG), web1, web2).events_total == 6  # nor when the setting is taken away


# ---- equal rows that count once are told ----


def test_equal_lines_of_two_logs_are_told_with_two_of_them_and_the_setting(tmp_path, home):
    web1 = write("log", tmp_path / "web1" / "access.log", calls(1, 2, 3, 3))
    web2 = write("log", tmp_path / "web2" / "access.log", calls(9, 2, 3, 3, 4))
    report = take(home(**ACCESS_LOG), web1, web2)
    assert (report.events_total, report.table("events").duplicates) == (6, 3)
    assert note(report, "count once") == (
        "events: 3 rows are equal to rows of other files, or to stored ones, and count once, as in files that grew, "
        "were rotated or exported again: web1/access.log 2 and web2/access.log 2. Where they are calls of different "
        'machines, set distinct_files = "host" under [sources.events], or map a column to host, and ingest again.'
    )
    apart = take(home(**ACCESS_LOG, distinct_files="host"), web1, web2)
    assert apart.events_total == 9
    assert not [text for text in apart.notes if "count once" in text]


def test_rows_that_are_stored_already_are_told_with_one_of_them(tmp_path, home):
    take(home(**ACCESS_LOG), write("log", tmp_path / "web1" / "access.log", calls(1, 2, 3)))
    report = take(home(**ACCESS_LOG), write("log", tmp_path / "web2" / "access.log", calls(4, 3, 2)))
    assert "events: 2 rows are equal to rows of other files, or to stored ones" in note(report, "count once")
    assert "exported again: web2/access.log 2 and a stored one. Where" in note(report, "count once")


@pytest.mark.parametrize(("kind", "places"), [("csv", "2 and calls.csv 5"), ("parquet", "1 and calls.parquet 4")])
def test_equal_rows_of_one_file_are_told_with_two_of_them(tmp_path, home, kind, places):
    name = NAMES.get(kind, "calls.parquet")
    report = take(home(), write(kind, tmp_path / name, calls(1, 2, 1, 1)))
    assert (report.events_total, report.table("events").duplicates) == (2, 2)
    assert note(report, "count once") == (
        "events: 2 rows are equal in every column to another row of their file and count once: "
        f"{name} {places}. Where each is a call of its own, map what tells them apart to event_id or host under "
        "[sources.events.columns]."
    )
    more = take(home(), write("json", tmp_path / "a.jsonl", calls(7, 7)))
    assert 'also format = "json"' in note(more, "count once")


def test_rows_with_ids_that_come_again_are_not_told(tmp_path, home):
    rows = [{"event_id": f"e{number}", **call} for number, call in enumerate(calls(1, 2))]
    report = take(home(), write("csv", tmp_path / "a.csv", rows), write("csv", tmp_path / "b.csv", rows))
    assert report.table("events").duplicates == 2
    assert not [text for text in report.notes if "count once" in text]


# ---- lines that are half written, and logs that were cut at their beginning ----


def test_the_zero_bytes_that_a_log_truncated_under_its_writer_begins_with_are_no_line(tmp_path, home):
    rows = calls(1, 2)
    log = put(tmp_path / "access.log", b"\0" * 5_000_000 + text("log", rows).encode())
    report = take(home(**ACCESS_LOG), log)
    assert (report.events_total, report.table("events").quarantined) == (2, {})
    packed = put(tmp_path / "access.log.1.gz", b"\0" * 100 + text("log", rows).encode())
    assert take(home(**ACCESS_LOG), packed).events_total == 2


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_last_row_of_which_a_part_was_written_is_replaced_by_the_whole(tmp_path, home, ending):
    rows = [{**call, "latency_ms": 12.5} for call in calls(1, 2, 3, 4)]
    company = home()
    file = put(tmp_path / "calls.csv", text("csv", rows[:2]).removesuffix(".5\n"))
    assert take(company, file).events_total == 2  # it may be whole
    assert stored(company, "latency_ms") == [(12.0,), (12.5,)]
    grown = put(tmp_path / f"calls.csv{ending}", text("csv", rows))
    report = take(company, grown)
    assert stored(company, "latency_ms") == [(12.5,)] * 4
    assert "1 row, the last of a file when it was read, has grown since" in note(report, "has grown")
    assert take(company, grown).events_total == 4


@pytest.mark.parametrize(
    ("column", "values", "keep", "ending"),
    [
        ("latency_ms", ("12.5", "1250", "0.125"), 1, ".gz"),  # behind the first character
        ("latency_ms", ("12.5",) * 3, 0, ""),  # behind the comma
        ("endpoint", ("/v1/orders/123", "/v1/orders/456", "/v1/customers"), 9, ""),
        ("user_id", ("u-100", "u-101", "u-102"), 3, ""),
        ("event_id", ("e100", "e101", "e102"), 2, ""),
    ],
)
def test_a_copy_that_is_cut_inside_its_last_line_holds_nothing_new(tmp_path, home, column, values, keep, ending):
    rows = [call | {column: value} for call, value in zip(calls(1, 2, 3), values, strict=True)]
    rows = [{name: row[name] for name in row if name != column} | {column: row[column]} for row in rows]
    company, whole = home(), text("csv", rows)
    take(company, put(tmp_path / "calls.csv", whole))
    expected = stored(company, "event_id", "event_time")
    for count in (1, 3):
        content = text("csv", rows[:count]).removesuffix(values[count - 1] + "\n") + values[count - 1][:keep]
        report = take(company, put(tmp_path / f"cut.csv{ending}", content))
        assert stored(company, "event_id", "event_time") == expected
        assert "1 file is a part of what was read before" in note(report, f"nothing new in it: cut.csv{ending}.")
    assert take(company, put(tmp_path / "cut.csv", whole)).events_total == 3


def test_a_last_row_without_an_end_that_goes_on_with_new_rows_is_one_more(tmp_path, home):
    rows = [{**call, "latency_ms": value} for call, value in zip(calls(1, 2, 2, 3, 2), (5, 125, 12, 7, 1), strict=True)]
    company = home()
    take(company, put(tmp_path / "a.csv", text("csv", rows[:2])))
    other = put(tmp_path / "b.csv", text("csv", [rows[1], rows[3], rows[2]]).removesuffix("\n"))
    assert take(company, other).events_total == 4  # its rows are not all known: no copy
    told = {**rows[0], "latency_ms": 6}  # no beginning of 5
    assert take(company, put(tmp_path / "c.csv", text("csv", [rows[1], told]).removesuffix("\n"))).events_total == 5
    grown = text("csv", rows[:2] + rows[4:])
    assert take(company, put(tmp_path / "d.csv", grown.removesuffix("\n"))).events_total == 5
    assert take(company, put(tmp_path / "d.csv", grown)).events_total == 6  # its line has an end now


@pytest.mark.parametrize("kind", ["log", "json", "csv"])
def test_a_half_line_is_no_refused_one_any_more_once_it_is_whole(tmp_path, home, kind):
    company = home(**SOURCES[kind])
    lines = text(kind, calls(1, 2, 3)).splitlines()
    whole = "\n".join([lines[0], "broken", *lines[1:]]) + "\n"
    file = put(tmp_path / NAMES[kind], whole[:-12])
    assert take(company, file).events_total == 2
    assert len(refused(company)) == 2
    take(company, put(tmp_path / f"other-{NAMES[kind]}", text(kind, calls(5, 6, 7, 8))))
    assert len(refused(company)) == 2
    grown = put(tmp_path / "moved" / "access.log.1.gz" if kind == "log" else file, whole)
    assert "1 line, the last of a file when it was read, is whole now" in note(take(company, grown), "is whole now")
    assert len(refused(company)) == 1
    assert take(company, grown).events_total == 7
    assert len(refused(company)) == 1


def test_a_bad_last_line_is_refused_once_where_another_file_of_the_same_ingest_goes_on_behind_it(tmp_path, home):
    company = home(**ACCESS_LOG)
    first, second = text("log", calls(1)), text("log", calls(2))
    cut = put(tmp_path / "access.log", f"{first}broken")
    grown = put(tmp_path / "later" / "access.log", f"{first}broken\n{second}")
    for _ in range(2):
        assert take(company, cut, grown).table("events").quarantined == {"line_unreadable": 1}
    assert refused(company) == ["line_unreadable"]


def test_a_last_row_without_an_end_stays_when_its_file_does_not_go_on_there(tmp_path, home):
    rows = [{**call, "latency_ms": 12.5} for call in calls(1, 2, 3)]
    company = home()
    file = put(tmp_path / "calls.csv", text("csv", rows[:2]).removesuffix("\n"))
    take(company, file)
    take(company, put(tmp_path / "other.csv", text("csv", [rows[2], {**rows[1], "latency_ms": 12.52}])))
    assert len(stored(company, "latency_ms")) == 4
    put(file, text("csv", rows))
    assert take(company, file).events_total == 5 - 1


# ---- whatever order, split and repetition the files come in ----


@pytest.mark.parametrize("kind", SOURCES)
def test_forty_rows_then_sixty_then_the_last_forty_again_are_sixty_calls(tmp_path, home, kind):
    company, name, rows = home(**SOURCES[kind]), NAMES.get(kind, "calls.parquet"), calls(*range(60))
    file = tmp_path / name
    take(company, write(kind, file, rows[:40]))
    packed = [write(kind, tmp_path / "old" / f"{name}{ending}", rows) for ending in PACKED if kind != "parquet"]
    take(company, write(kind, file, rows), *packed)
    assert take(company, write(kind, tmp_path / f"export-{name}", rows[20:])).events_total == 60


def test_equal_lines_of_one_log_stay_as_many_in_an_overlapping_export(tmp_path, home):
    log = write("log", tmp_path / "access.log", calls(1, 2, 2, 3, 3, 3))
    export = write("log", tmp_path / "export.log.gz", calls(2, 3, 3, 3, 3, 4, 4))
    assert take(home(**ACCESS_LOG), log, export).events_total == 9
    assert Counter(stored(home(**ACCESS_LOG), "event_time")) == Counter(
        {(utc(2026, 1, 1, 10, 0, second),): count for second, count in {1: 1, 2: 2, 3: 4, 4: 2}.items()}
    )


pieces = st.lists(
    st.tuples(st.sampled_from(["web1", "web2"]), st.integers(0, 8), st.integers(1, 9), st.sampled_from(["", *PACKED])),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", ["log", "csv"])
@given(
    lines=st.lists(st.integers(0, 3), min_size=1, max_size=9).map(sorted),
    pieces=pieces,
    half=st.booleans(),
    data=st.data(),
)
@hypothesis_settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_grown_packed_and_overlapping_files_in_any_order_and_split_are_one_log(
    tmp_path_factory, kind, lines, pieces, half, data
):
    folder = tmp_path_factory.mktemp("grown")
    most: Counter[tuple[str, int]] = Counter()
    files = []
    for number, (host, start, size, ending) in enumerate(pieces):
        seconds = lines[start : start + size] or lines[:1]
        content = text(kind, calls(*seconds))
        if half and kind == "log" and len(seconds) > 1:  # of the last line a part was written
            content, seconds = content[:-20], seconds[:-1]
        files.append(put(folder / host / f"{number}-{NAMES[kind]}{ending}", content))
        counts = Counter(seconds) if kind == "log" else Counter(set(seconds))
        most |= Counter({(host, second): count for second, count in counts.items()})
    order = data.draw(st.permutations(files)) + data.draw(st.lists(st.sampled_from(files), max_size=1))
    cut = data.draw(st.integers(0, len(order)))
    settings = load_settings(
        home=folder / "home", threads=1, sources={"events": {**SOURCES[kind], "distinct_files": "{host}/*"}}
    )
    for paths in (order[:cut], order[cut:]):
        if paths:
            take(Home(settings), *paths)
    expected: Counter[int] = Counter()
    for (_, second), count in most.items():
        expected[second] += count
    times = [time.second for (time,) in stored(Home(settings), "event_time")]
    assert Counter(times) == +expected


@pytest.mark.parametrize("seed", [1, 2])
def test_copies_that_are_cut_anywhere_come_in_any_order_and_again_and_are_one_table(tmp_path, home, seed):
    dice = random.Random(seed)
    rows = [call | {"latency_ms": dice.choice([1, 12, 12.5, 125])} for call in calls(*range(20))]
    whole = text("csv", rows)
    first = whole.index("\n", whole.index("\n") + 1)
    cuts = [whole[: dice.randrange(first, len(whole))] for _ in range(3)]
    files = [
        put(tmp_path / f"{number}.csv{dice.choice(['', '.gz'])}", content)
        for number, content in enumerate([*cuts, whole])
    ]
    company = home()
    for file in [*dice.sample(files, 4), dice.choice(files)]:
        take(company, file)
    assert [latency for _, latency in stored(company, "event_time", "latency_ms")] == [
        row["latency_ms"] for row in rows
    ]


def test_the_same_rows_with_their_columns_in_another_order_are_the_same_calls(tmp_path, home):
    rows = [call | {"latency_ms": 12.5} for call in calls(1, 2, 3)]
    take(home(), put(tmp_path / "a.csv", text("csv", rows)))
    turned = [{name: row[name] for name in reversed(row)} for row in rows]
    report = take(home(), put(tmp_path / "b.csv", text("csv", turned)))
    assert (report.events_total, report.table("events").duplicates) == (3, 3)
