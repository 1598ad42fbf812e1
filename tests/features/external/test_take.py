"""External feature tables: which row counts at a cutoff, what of a replaced file changes the past, what is refused."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.audit.past import Past
from features.build.build import build
from features.build.unknown_accounts import strange_accounts
from features.definitions.sets import FeatureSet
from features.exceptions import InputError
from features.external.take import TablesRefusedError, tables_said, take_tables, waiting_tables
from features.home.declared_sets import sets_read
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.settings.fields import Settings
from features.windows import DAY, utc

C = utc(2026, 6, 29)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
NOW = C + 9 * DAY
TABLE = {"path": "health/*.parquet", "max_age": "90d", "columns": {"nps": {}, "seats": {}}}
TIME = pa.timestamp("us", tz="UTC")


def write(log, *rows, name="health.parquet", **changed):
    """Rows of (account, event_timestamp, known_at, nps, seats) as a file of the table."""
    schema = {"account_id": pa.string(), "event_timestamp": TIME, "known_at": TIME, "nps": pa.int64()}
    schema["seats"] = pa.float64()
    columns = {
        key: pa.array([row[place] for row in rows], kind or pa.float64())
        for place, (key, kind) in enumerate(schema.items())
    }
    folder = log.settings.home / "health"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {key: column for key, column in {**columns, **changed}.items() if column is not None}
    pq.write_table(pa.table(kept), folder / name)


@pytest.fixture
def log(new_log):
    return new_log(tables={"health": TABLE}).add("events", {"event_time": C - DAY}, {"event_time": C + DAY})


def values(log, *cutoffs):
    take_tables(log.home, now=NOW)
    rows = log.table(*cutoffs)
    return [(rows["a", cutoff]["health_nps"], rows["a", cutoff]["health_seats"]) for cutoff in cutoffs]


def test_the_newest_row_known_at_the_cutoff_counts(new_log):
    rows = {
        "at_the_end": ((C - TICK, C - TICK, 7, 2.5),),
        "at_the_cutoff": ((C, C, 7, 2.5),),
        "known_in_grace": ((C - DAY, C + 6 * HOUR - TICK, 7, 2.5),),
        "known_too_late": ((C - DAY, C + 6 * HOUR, 7, 2.5),),
        "just_young_enough": ((C - 90 * DAY, C - 90 * DAY, 7, 2.5),),
        "too_old": ((C - 90 * DAY - TICK, C - DAY, 7, 2.5),),
        "newer_says_nothing": ((C - 2 * DAY, C - DAY, 1, 1.0), (C - DAY, C - DAY, -7, None)),
        "corrected": ((C - DAY, C - HOUR, 1, 1.0), (C - DAY, C - DAY, 2, 2.0)),
        "said_twice": ((C - DAY, C - DAY, 1, float("nan")), (C - DAY, C - DAY, 1, float("nan"))),
        "in_no_row": (),
    }
    log = new_log(tables={"health": TABLE})
    log.add("events", *({"event_time": C - DAY, "account_id": account} for account in rows))
    write(log, *((account, *row) for account, several in rows.items() for row in several))
    take_tables(log.home, now=NOW)
    found = log.declared(C, C + DAY)  # the later cutoff sees more rows, and the earlier one must not
    assert {account: (found[account, C]["health_nps"], found[account, C]["health_seats"]) for account in rows} == {
        "at_the_end": (7.0, 2.5),
        "at_the_cutoff": (None, None),
        "known_in_grace": (7.0, 2.5),
        "known_too_late": (None, None),
        "just_young_enough": (7.0, 2.5),
        "too_old": (None, None),
        "newer_says_nothing": (-7.0, None),
        "corrected": (1.0, 1.0),
        "said_twice": (1.0, None),
        "in_no_row": (None, None),
    }


def test_a_replaced_file_changes_the_past_only_by_what_was_known_then(log):
    write(log, ("a", C - 20 * DAY, C - 20 * DAY, 1, None))
    assert values(log, C, C + 7 * DAY) == [(1.0, None), (1.0, None)]
    settings = log.settings
    # The file is cut short, and says something else without a later known_at.
    write(log, ("a", C - 9 * DAY, C + 2 * DAY, 5, None), ("a", C - 20 * DAY, C - 20 * DAY, 9, None))
    (taken,) = take_tables(Home(settings), now=NOW)
    assert (taken.new, taken.changed) == (1, 1)
    assert "1 row has other values than before under the same event_timestamp and known_at" in taken.notes[0]
    assert built_cutoffs(Home(settings)) == [C]
    assert build(Home(settings), [C, C + 7 * DAY], now=NOW).built == (C + 7 * DAY,)
    assert values(log, C, C + 7 * DAY) == [(1.0, None), (5.0, None)]
    write(log, ("a", C - DAY, C - DAY, 8, None))  # it was known then, we only learn of it now
    assert values(log, C, C + 7 * DAY) == [(8.0, None), (8.0, None)]


def test_the_same_rows_in_other_files_are_the_same(log):
    rows = [("a", C - day * DAY, C - day * DAY, day, None) for day in range(1, 7)]
    write(log, *rows)
    assert values(log, C) == [(1.0, None)]
    (log.settings.home / "health" / "health.parquet").unlink()
    for place, row in enumerate(reversed(rows)):
        write(log, row, name=f"{place}.parquet")
    (taken,) = take_tables(log.home, now=NOW)
    assert (taken.files, taken.new, taken.changed) == (6, 0, 0)
    assert built_cutoffs(log.home) == [C]
    assert take_tables(log.home, now=NOW)[0].new == 0


def test_rows_of_the_future_are_counted_and_wait(log):
    write(log, ("a", C - DAY, C - DAY, 1, None), ("a", C - DAY, NOW + TICK, 2, None), ("b", C, NOW + DAY, 3, None))
    (taken,) = take_tables(log.home, now=NOW)
    assert (taken.new, taken.future) == (1, 2)
    (note,) = taken.notes
    assert note.startswith("Table health: 2 rows have a known_at in the future and not used before it has come.")
    (later,) = take_tables(log.home, now=NOW + DAY)
    assert (later.new, later.future) == (2, 0)


def test_rows_known_before_they_were_so_are_named_and_count_once_they_are(log):
    ahead = [(account, C + DAY, C - DAY, 5, None) for account in "abcdefg"]
    write(log, ("a", C - 2 * DAY, C - 2 * DAY, 1, None), *ahead)
    (taken,) = take_tables(log.home, now=NOW)
    assert (taken.new, taken.future, taken.ahead) == (8, 0, 7)
    (note,) = taken.notes
    assert note == (
        "Table health: 7 rows have an event_timestamp after known_at, of a, b, c, d, e and 2 more: they count from "
        "event_timestamp on. If they are no forecasts, the two are swapped or a zone is wrong: mend the files and give "
        "the table another path, since what was taken stays."
    )
    assert tables_said(log.home) == [note]
    assert values(log, C, C + 2 * DAY) == [(1.0, None), (5.0, None)]


def test_a_column_may_have_any_name(new_log):
    names = ("place", "row", "file", "held", "count_all", "row_first", "days_since_first")
    log = new_log(tables={"health": {"path": "health/*.parquet", "columns": {name: {} for name in names}}})
    log.add("events", {"event_time": C - DAY})
    for day in (3, 1):  # the second time there are rows already
        columns = {name: pa.array([float(day + place)]) for place, name in enumerate(names)}
        write(log, ("a", C - day * DAY, C - day * DAY, 0, None), name=f"{day}.parquet", **columns)
        (taken,) = take_tables(log.home, now=NOW)
        assert (taken.new, taken.changed) == (1, 0)
        row = log.declared(C)["a", C]
        assert [row[f"health_{name}"] for name in names] == [float(day + place) for place in range(len(names))]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"known_at": None}, r"health\.parquet of the external table health has no column known_at; it has account_id"),
        (
            {"event_timestamp": pa.array([C.replace(tzinfo=None)], pa.timestamp("us"))},
            r"The column event_timestamp of .* holds timestamp\[us\], not times with a zone",
        ),
        ({"nps": pa.array(["high"])}, r"The column nps of .* holds string, and a feature is a number"),
        ({"seats": pa.array([float("inf")])}, r"1 row of .*health\.parquet .* has an infinite seats: row 1"),
        ({"known_at": pa.array([None], TIME)}, r"1 row of .* has no known_at: row 1\. Every row needs one"),
        ({"account_id": pa.array([1.5])}, r"The column account_id of .* holds double, not text"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(log, changed, message):
    write(log, ("a", C - DAY, C - DAY, 1, None), **changed)
    with pytest.raises(InputError, match=message):
        take_tables(log.home, now=NOW)


def test_a_table_only_a_champion_reads_is_planned_as_it_is_taken(log):
    write(log, ("a", C - DAY, C - DAY, 1, None))
    none = Settings(home=log.settings.home)
    assert waiting_tables(Home(none)) == []
    sets_read(Home(none).champion_sets, "churn", [FeatureSet(tables=log.settings.tables).as_json])
    assert waiting_tables(Home(none)) == waiting_tables(log.home) == [("health", 1)]
    assert [one.new for one in take_tables(Home(none), now=NOW)] == [1]
    assert waiting_tables(Home(none)) == []


def test_what_was_taken_beside_a_refused_table_is_told(new_log):
    log = new_log(tables={"health": TABLE, "gone": {**TABLE, "path": "gone/*.parquet"}})
    write(log, ("a", C - DAY, C - DAY, 1, None))
    with pytest.raises(TablesRefusedError, match="No file of the external table gone is there") as refusal:
        take_tables(log.home, now=NOW)
    assert [(one.name, one.new) for one in refusal.value.taken] == [("health", 1)]


def test_accounts_of_a_table_that_nobody_knows_are_named(log):
    known = (C - DAY, C - DAY, 1, None)
    write(log, ("A", *known), ("a ", *known), ("later", C, C, 1, None))
    assert strange_accounts(log.home) == []  # nothing is built, so nobody can tell
    assert values(log, C) == [(None, None)]
    (said,) = strange_accounts(log.home)
    assert said.startswith("Table health: none of its 2 accounts is known to us on 2026-06-29, so its features are ")
    assert "null everywhere: 'A', 'a '. Compare its account_id with yours" in said
    write(log, ("a", *known), ("A", *known))
    assert values(log, C) == [(1.0, None)]
    (said,) = strange_accounts(log.home)
    assert said.startswith("Table health: 2 of its 3 accounts are not known to us on 2026-06-29: 'A', 'a '.")


def test_two_rows_that_contradict_each_other_are_named(log):
    write(log, ("b", C, C, 0, None), ("a", C - DAY, C - DAY, 1, None))
    write(log, ("a", C - DAY, C - DAY, 2, None), name="more.parquet")
    message = (
        r"says different things of 1 account and time: a at 2026-06-28T00:00:00\+00:00, known 2026-06-28T00:00:00"
        r"\+00:00, in health\.parquet row 2, more\.parquet row 1\. Leave one"
    )
    with pytest.raises(InputError, match=message):
        take_tables(log.home, now=NOW)


def test_a_table_without_a_file_and_a_file_that_is_no_parquet_are_refused(log):
    with pytest.raises(InputError, match=r"No file of the external table health is there: .*health/\*\.parquet"):
        take_tables(log.home, now=NOW)
    write(log, ("a", C - DAY, C - DAY, 1, None))
    (log.settings.home / "health" / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"broken\.parquet of the external table health cannot be read as Parquet"):
        take_tables(log.home, now=NOW)


def test_nanoseconds_integers_as_ids_and_truths_are_taken(new_log):
    log = new_log(tables={"health": TABLE}).add("events", {"event_time": C - DAY, "account_id": "17"})
    nano = pa.array([C - DAY], pa.timestamp("ns", tz="Europe/Berlin"))
    write(
        log,
        (None, None, None, None, None),
        account_id=pa.array([17]),
        event_timestamp=nano,
        known_at=nano,
        nps=pa.array([True]),
    )
    take_tables(log.home, now=NOW)
    assert log.declared(C)["17", C]["health_nps"] == 1.0


def test_features_of_a_table_are_in_the_catalogue(log):
    feature = log.home.catalog.spec("health_nps")
    assert (feature.window_days, feature.bounds) == (90, (None, None))
    assert feature.null_rule == "null without a row of the last 90 days, or where it says nothing"


def test_a_home_turned_back_knows_of_a_table_what_was_known(log, tmp_path):
    future = [("a", C - DAY, C + 7 * HOUR, 5, None), ("b", C, C, 6, None)]
    write(log, ("a", C - 3 * DAY, C - 3 * DAY, 1, None), ("b", C - DAY, C - DAY, 2, None), *future)
    log.add("events", {"event_time": C - DAY, "account_id": "b"})
    take_tables(log.home, now=NOW)
    stored = [row["health_nps"] for _, row in sorted(log.table(C).items())]
    past = Past(Home(log.settings), tmp_path / "past", seed=1)
    past.truncate(C)
    assert past.rows(C)["health_nps"].to_pylist() == stored == [1.0, 2.0]
    assert past.exchange_future(C) == 3
    assert past.rows(C)["health_nps"].to_pylist() == stored
