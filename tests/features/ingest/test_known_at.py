"""When a row of the CRM became known: what is delivered late, again or corrected leaves the past as it was."""

import re
from datetime import timedelta

import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError
from features.home.home import Home
from features.home.raw_tables import complete_until, read_raw, read_records
from features.ingest.dry_run import dry_run
from features.ingest.ingest import ingest
from features.schema import SUBSCRIPTIONS
from features.settings.load import load_settings
from features.subscriptions.known import known_states, states_at
from features.windows import utc

FIRST = utc(2026, 2, 1, 6)
NIGHT = timedelta(days=1)
HEADERS = {
    "accounts": "account_id,owner,created_at",
    "subscriptions": "account_id,occurred_at,kind,plan,mrr,quota_calls_per_month",
    "touchpoints": "account_id,occurred_at,kind,value",
}
ROWS = {
    "accounts": "a,Ann,2025-01-01T00:00:00Z",
    "subscriptions": "a,2025-01-01T00:00:00Z,start,pro,10,",
    "touchpoints": "a,2025-01-01T00:00:00Z,nps,9",
}
LATER = {
    "accounts": "b,Bob,2025-02-01T00:00:00Z",
    "subscriptions": "a,2025-02-01T00:00:00Z,renew,pro,10,",
    "touchpoints": "b,2025-02-01T00:00:00Z,nps,7",
}
CORRECTED = {
    "accounts": "a,Bea,2025-01-01T00:00:00Z",
    "subscriptions": "a,2025-01-01T00:00:00Z,start,pro,20,",
    "touchpoints": "a,2025-01-01T00:00:00Z,nps,3",
}
SAYS = {"accounts": "owner", "subscriptions": "mrr", "touchpoints": "value"}


@pytest.fixture
def home(tmp_path):
    return Home(load_settings(home=tmp_path / "home", threads=1))


@pytest.fixture
def deliver(tmp_path, home):
    """Ingest rows of each table (table to row) as files of their own; the report."""
    numbers = iter(range(99))

    def given(*several, now, dated=False, **options):
        number, files = next(numbers), {}
        for table in several[0]:
            header = HEADERS[table] + (",known_at" if dated else "")
            files[table] = [tmp_path / f"{table}-{number}.csv"]
            files[table][0].write_text("\n".join([header, *(rows[table] for rows in several)]) + "\n", encoding="utf-8")
        return ingest(home, now=now, **files, **options)

    return given


def sold(row):
    """A delivery of subscriptions alone."""
    return {"subscriptions": row}


def known(home, table="subscriptions"):
    """What each stored row says, and since when it is known, the earliest first."""
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    rows = read_raw(engine, home, table).order_by("known_at", "account_id", SAYS[table])
    made = engine.to_arrow(rows.select(SAYS[table], "known_at")).to_pylist()
    engine.close()
    return [tuple(row.values()) for row in made]


def expect(home, *versions):
    """Of each table the rows (what was delivered, since when it is known)."""
    for table, header in HEADERS.items():
        place = header.split(",").index(SAYS[table])
        values = [(rows[table].split(",")[place], moment) for rows, moment in versions]
        if table != "accounts":
            values = [(float(value), moment) for value, moment in values]
        assert known(home, table) == values, table


def test_a_first_load_that_does_not_say_is_refused_with_both_commands(home, deliver):
    with pytest.raises(InputError) as refusal:
        deliver(ROWS, now=FIRST)
    text = str(refusal.value)
    command = r"`bellwether ingest --accounts \S*s-0.csv --subscriptions \S*s-0.csv --touchpoints \S*s-0.csv"
    assert re.search(f"{command} --backfill`", text)
    assert re.search(f"{command}`", text)
    assert all(f"[sources.{table}.columns]" in text for table in HEADERS)
    expect(home)


def test_a_refused_first_load_stores_nothing_of_the_other_tables(tmp_path, home):
    for name, text in {"e": "account_id,event_time\na,2026-01-01T00:00:00Z", "a": "account_id\na"}.items():
        (tmp_path / f"{name}.csv").write_text(f"{text}\n")
    with pytest.raises(InputError, match=r"ingest --events \S*e.csv --accounts \S*a.csv --backfill`"):
        ingest(home, now=FIRST, events=[tmp_path / "e.csv"], accounts=[tmp_path / "a.csv"])
    assert home.stores.events.manifest().partitions == {}
    outcome = dry_run(home, {"accounts": [tmp_path / "a.csv"]}, now=FIRST)
    assert "--backfill" in outcome.refusal
    assert dry_run(home, {"accounts": [tmp_path / "a.csv"]}, now=FIRST, backfill=True).refusal is None


def test_a_constant_says_that_a_first_load_became_known_now(tmp_path):
    columns = {"columns": {"known_at": {"constant": "2026-02-01T00:00:00Z"}}}
    home = Home(load_settings(home=tmp_path / "home", threads=1, sources={"subscriptions": columns}))
    (tmp_path / "s.csv").write_text(f"{HEADERS['subscriptions']}\n{ROWS['subscriptions']}\n")
    ingest(home, now=FIRST, subscriptions=[tmp_path / "s.csv"])
    assert known(home) == [(10.0, utc(2026, 2, 1))]


def test_an_export_delivered_whole_every_night_keeps_what_was_known(home, deliver):
    deliver(ROWS, now=FIRST, backfill=True)
    expect(home, (ROWS, utc(2025, 1, 1)))
    deliver(ROWS, LATER, now=FIRST + NIGHT)
    versions = [(ROWS, utc(2025, 1, 1)), (LATER, FIRST + NIGHT)]
    expect(home, *versions)
    for backfill in (False, True):
        report = deliver(LATER, ROWS, now=FIRST + 2 * NIGHT, backfill=backfill)
        assert [(table.rows_stored, table.duplicates, table.quarantined) for table in report.tables] == [(0, 2, {})] * 3
    expect(home, *versions)


def test_a_corrected_row_is_a_version_known_from_now_on(home, deliver):
    deliver(ROWS, now=FIRST, backfill=True)
    report = deliver(CORRECTED, now=FIRST + NIGHT)
    for table in HEADERS:
        assert any(note.startswith(f"{table}: 1 row says something else than") for note in report.notes)
    deliver(CORRECTED, now=FIRST + 2 * NIGHT)
    versions = [(ROWS, utc(2025, 1, 1)), (CORRECTED, FIRST + NIGHT)]
    expect(home, *versions)
    for night in (3, 4):
        deliver(ROWS, now=FIRST + night * NIGHT)
    expect(home, *versions, (ROWS, FIRST + 3 * NIGHT))


def test_a_correction_in_a_backfill_is_known_from_now_on_too(home, deliver):
    for night, rows in enumerate((ROWS, CORRECTED)):
        deliver(rows, now=FIRST + night * NIGHT, backfill=True)
    expect(home, (ROWS, utc(2025, 1, 1)), (CORRECTED, FIRST + NIGHT))


def test_other_terms_are_a_correction_too(home, deliver):
    deliver(sold("a,2025-01-01T00:00:00Z,start,pro,10,1000"), now=FIRST, backfill=True)
    deliver(sold("a,2025-01-01T00:00:00Z,start,pro,10,2000"), now=FIRST + NIGHT)
    assert known(home) == [(10.0, utc(2025, 1, 1)), (10.0, FIRST + NIGHT)]


def test_two_rows_of_one_time_side_by_side_do_not_correct_each_other(home, deliver):
    pro, team = (sold(f"a,2025-01-01T00:00:00Z,renew,{plan},10,") for plan in ("pro", "team"))
    deliver(pro, now=FIRST, backfill=True)
    for night in (1, 2, 3):
        report = deliver(*(pro, team)[:: (-1) ** night], now=FIRST + night * NIGHT)
        assert any("1 row says something else than" in note for note in report.notes) == (night == 1)
    # Both are known since the first night on which they came together.
    assert known(home) == [(10.0, utc(2025, 1, 1)), *[(10.0, FIRST + NIGHT)] * 2]
    deliver(pro, now=FIRST + 4 * NIGHT)  # what does not come again stays
    assert len(known(home)) == 3


STARTS = [sold(f"a,2025-01-01T00:00:00Z,start,{plan},{mrr},") for plan, mrr in (("pro", 100), ("team", 60))]


@pytest.mark.parametrize(
    ("loads", "mrr", "is_told"),
    [
        ([STARTS[:1], STARTS[1:]], [100, 60, 60], True),
        ([STARTS[:1], STARTS], [100, 160, 160], False),  # the export that came whole has both
        ([STARTS, STARTS[1:]], [160, 160, 160], False),
        ([STARTS[:1], STARTS[1:], STARTS], [100, 60, 160], False),
    ],
)
def test_a_start_of_another_plan_in_a_later_load_corrects_the_first_unless_both_come(
    home, deliver, loads, mrr, is_told
):
    for night, rows in enumerate(loads):
        report = deliver(*rows, now=FIRST + night * NIGHT, backfill=not night)
    assert any(
        "1 account has a start of which another plan became known later: a." in note for note in report.notes
    ) == (is_told)
    states = known_states(
        read_records(home, SUBSCRIPTIONS).to_pandas(), grace_hours=6, renewal_grace_days=14, reactivation_days=14
    )
    cutoffs = [FIRST + night * NIGHT + timedelta(hours=18) for night in (-1, 0, 1, 2)]
    assert [states_at(states, cutoff).loc["a", "mrr"] for cutoff in cutoffs] == [mrr[0], *mrr]


@pytest.fixture
def together(tmp_path, home):
    """Ingest files of one table, each of some rows, in one command and in this order, whatever their names."""

    def given(table, *files, header=None, **options):
        paths = [tmp_path / f"{name}.csv" for name in reversed("abcde"[: len(files)])]
        for path, rows in zip(paths, files, strict=True):
            path.write_text("\n".join([header or HEADERS[table], *rows]) + "\n", encoding="utf-8")
        return ingest(home, now=FIRST, **{table: paths}, backfill=True, **options)

    return given


@pytest.mark.parametrize("table", HEADERS)
def test_of_exports_that_come_together_the_one_given_last_counts(home, together, table):
    first, last = ROWS[table], CORRECTED[table]
    place = HEADERS[table].split(",").index(SAYS[table])
    value = last.split(",")[place] if table == "accounts" else float(last.split(",")[place])
    report = together(table, [first], [last])
    assert known(home, table) == [(value, utc(2025, 1, 1))]
    assert report.table(table).quarantined == {"conflict": 1}
    assert [table.rows_stored for table in together(table, [first], [last]).tables] == [0]
    together(table, [last], [first])
    assert len(known(home, table)) == 2  # and the other way about it is a correction


@pytest.mark.parametrize(
    ("second", "is_told"),
    [
        (["a,2025-01-01T00:00:00Z,start,addon,8,"], True),  # parts of one export, as by plan
        (["a,2025-01-01T00:00:00Z,start,pro,10,"], False),
        (["a,2025-02-01T00:00:00Z,renew,pro,8,"], False),
        (
            ["a,2025-01-01T00:00:00Z,start,addon,8,", *(f"{name},2025-01-01T00:00:00Z,start,pro,10," for name in "bc")],
            False,
        ),
    ],
)
def test_rows_of_parts_of_an_export_stand_side_by_side_and_are_told(home, together, second, is_told):
    first = [f"{name},2025-01-01T00:00:00Z,start,pro,10," for name in "abc"]
    report = together("subscriptions", first, second)
    told = [note for note in report.notes if "1 account has rows of one time and kind that differ from file" in note]
    assert ["file to file: a." in note and "one by one" in note for note in told] == [True] * is_told
    if is_told:
        assert known(home)[0] == (8.0, utc(2025, 1, 1))


def test_what_an_export_that_comes_whole_has_no_more_stays_and_is_told(home, deliver):
    names = [f"a{number}" for number in range(10)]
    rows = {name: {table: f"{name}{row[1:]}" for table, row in ROWS.items()} for name in names}
    deliver(*rows.values(), now=FIRST, backfill=True)

    def told(*given, night):
        report = deliver(*(rows[name] for name in given), now=FIRST + night * NIGHT)
        return [note for note in report.notes if "not in this export" in note]

    assert told(*names, night=1) == []
    accounts, subscriptions = told(*names[2:], night=2)
    assert accounts == (
        "accounts: 2 accounts are not in this export, which has the others again: a0, a1. They stay accounts as they "
        "were. Who left is known by a cancellation, or by silence."
    )
    assert subscriptions.startswith("subscriptions: 2 stored rows are not in this export")
    assert "again: of a0, a1. They count as before." in subscriptions
    assert told(*names[3:], night=3) == []  # no export of the whole
    assert len(known(home)) == len(known(home, "accounts")) == 10


def test_a_clock_that_went_back_does_not_bring_the_older_row_back(home, deliver):
    first, corrected = (sold(rows["subscriptions"]) for rows in (ROWS, CORRECTED))
    deliver(first, now=FIRST, backfill=True)
    deliver(corrected, now=FIRST)
    deliver(first, now=FIRST - NIGHT)
    assert [value for value, _ in known(home)] == [10.0, 20.0, 10.0]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_a_row_that_says_each_night_when_it_was_exported_is_one_row(home, deliver, order):
    for day in order:
        row = f"{ROWS['touchpoints']},2026-01-0{day}T00:00:00Z"
        deliver({"touchpoints": row}, now=FIRST, dated=True)
    assert known(home, "touchpoints") == [(9.0, utc(2026, 1, 1))]


def test_a_history_that_says_when_each_version_was_known_keeps_all_of_them(home, deliver):
    versions = enumerate((ROWS, CORRECTED, ROWS, ROWS, ROWS), 1)
    rows = [sold(f"{version['subscriptions']},2026-01-0{day}T00:00:00Z") for day, version in versions]
    deliver(*rows, rows[-1], now=FIRST, dated=True)
    assert known(home) == [(10.0, utc(2026, 1, 1)), (20.0, utc(2026, 1, 2)), (10.0, utc(2026, 1, 3))]


@pytest.mark.parametrize("backfill", [False, True])
def test_values_of_known_at_that_are_missing_or_unreadable_are_told(home, deliver, backfill):
    third = {table: row.replace("b,", "c,").replace("02-01", "03-01") for table, row in LATER.items()}
    given = ((ROWS, "2026-01-05T00:00:00Z"), (LATER, "soon"), (third, ""))
    rows = ({table: f"{row},{moment}" for table, row in version.items()} for version, moment in given)
    report = deliver(*rows, now=FIRST, backfill=backfill, dated=True)
    then = [utc(2025, 2, 1), utc(2025, 3, 1)] if backfill else [FIRST, FIRST]
    for table in HEADERS:
        assert [moment for _, moment in known(home, table)] == sorted([utc(2026, 1, 5), *then])
        assert any(f"{table}: 2 of 3 rows have no known_at" in note for note in report.notes)
        assert any(f"{table}: known_at is null in 1 row" in note for note in report.notes)


def test_a_cancellation_that_is_planned_is_known_since_the_load(home, deliver):
    planned = sold("a,2026-06-01T00:00:00Z,cancel,,5,")
    deliver(planned, sold(ROWS["subscriptions"]), now=FIRST, backfill=True)
    assert known(home) == [(10.0, utc(2025, 1, 1)), (5.0, FIRST)]
    assert complete_until(home, "subscriptions") == utc(2025, 1, 1)  # the history may be an old one


def test_a_later_backfill_says_what_it_does_to_the_past(home, deliver):
    first, later = ({"touchpoints": rows["touchpoints"]} for rows in (ROWS, LATER))
    deliver(first, now=FIRST, backfill=True)
    report = deliver(later, now=FIRST + NIGHT, backfill=True)
    assert known(home, "touchpoints")[1] == (7.0, utc(2025, 2, 1))
    assert any("1 new row counts as known since it happened" in note and "built again" in note for note in report.notes)


def test_a_table_is_complete_until_its_newest_row_became_known(home, deliver):
    first, later = (sold(rows["subscriptions"]) for rows in (ROWS, LATER))
    deliver(first, now=FIRST, backfill=True)
    assert complete_until(home, "subscriptions") == utc(2025, 1, 1)
    for night in (1, 9):
        report = deliver(first, later, now=FIRST + night * NIGHT)
        assert complete_until(home, "subscriptions") == FIRST + NIGHT
    assert any("the table counts as complete until its newest" in note for note in report.notes)


# ---- files of the CRM that were cut off inside their last row ----

CRM = {
    "accounts": ("account_id,created_at,owner", ["a,2025-01-01T00:00:00Z,Ann", "b,2025-01-01T00:00:00Z,Bobby"]),
    "subscriptions": (
        "account_id,occurred_at,kind,mrr",
        ["a,2025-01-01T00:00:00Z,start,75", "b,2025-01-01T00:00:00Z,start,125"],
    ),
    "touchpoints": (
        "account_id,occurred_at,kind,value",
        ["a,2025-01-01T00:00:00Z,nps,7", "b,2025-01-01T00:00:00Z,nps,10"],
    ),
}


def crm_file(tmp_path, name, table, *, cut=0):
    """A CRM file of two rows, without its last ``cut`` characters and the end of its last line."""
    header, rows = CRM[table]
    content = "\n".join([header, *rows]) + "\n"
    path = tmp_path / f"{name}.csv"
    path.write_text(content[: -cut - 1] if cut else content, encoding="utf-8")
    return path


@pytest.mark.parametrize("table", CRM)
def test_a_copy_of_a_crm_file_that_is_cut_inside_its_last_row_corrects_nothing(tmp_path, home, table):
    ingest(home, now=FIRST, backfill=True, **{table: [crm_file(tmp_path, "whole", table)]})
    report = ingest(home, now=FIRST + NIGHT, **{table: [crm_file(tmp_path, "cut", table, cut=1)]})
    assert report.table(table).rows_stored == 0
    assert not any("says something else" in text for text in report.notes)
    (told,) = [text for text in report.notes if "cut off" in text]
    assert told.startswith(f"{table}: 1 file is cut off inside the last row, which was read whole before: cut.csv.")


@pytest.mark.parametrize("table", CRM)
def test_a_row_that_goes_on_where_the_stored_one_was_cut_off_is_told_as_such(tmp_path, home, table):
    ingest(home, now=FIRST, backfill=True, **{table: [crm_file(tmp_path, "cut", table, cut=1)]})
    report = ingest(home, now=FIRST + NIGHT, **{table: [crm_file(tmp_path, "whole", table)]})
    assert any("1 row says something else" in text for text in report.notes)
    (told,) = [text for text in report.notes if "cut off" in text]
    assert told.startswith(f"{table}: 1 row goes on where the stored one ends: whole.csv 3. An earlier file seems")


def test_a_file_without_an_end_of_line_that_corrects_another_value_is_not_taken_for_a_cut_one(tmp_path, home):
    ingest(home, now=FIRST, backfill=True, subscriptions=[crm_file(tmp_path, "first", "subscriptions")])
    header, rows = CRM["subscriptions"]
    later = tmp_path / "later.csv"
    later.write_text("\n".join([header, rows[0], rows[1].replace("125", "90")]), encoding="utf-8")
    report = ingest(home, now=FIRST + NIGHT, subscriptions=[later])
    assert report.table("subscriptions").rows_stored == 1
    assert not any("cut off" in text for text in report.notes)
