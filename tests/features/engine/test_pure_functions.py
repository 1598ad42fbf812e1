"""Every function the engine has is either one of its arguments alone, or refused in what users declare."""

import re

import duckdb
import pyarrow as pa
import pytest

from features.definitions.declared import EVENT_COLUMNS
from features.engine.errors import EngineError
from features.engine.pure_functions import refusal
from features.engine.sql import columns_in, refuse_changing, sql_type
from features.schema import EVENTS

COLUMNS = pa.schema([EVENTS.schema.field(name) for name in EVENT_COLUMNS])

WORDS = re.compile(
    r"current|now|today|clock|local|time(?!stamp_|zone|tz_byte|_bucket)|random|rand|uuid|seed|version|setting|variable"
    r"|session|user|role|host|inet|pid|env|query|transaction|txid|seq|nextval|currval|setval|file|read|glob|http|scan"
    r"|schema|catalog|database|privilege|search_path|sleep|log\b|write|pragma|secret|stats|index_key|sql|plan|macro"
    r"|hash\b|aggr|invoke|internal|ago\b|age\b|start"
)
REVIEWED = {
    # of its argument alone, though its name holds such a word
    *("uuid_extract_version", "uuid_extract_timestamp", "strptime", "try_strptime", "strftime", "make_time"),
    *("make_timestamp", "make_timestamp_ms", "make_timestamp_ns", "make_timestamptz", "to_timestamp", "translate"),
    *(
        "parse_filename",
        "collate_sa",
        "starts_with",
        "variant_group_array",
        "json_structure",
        "parse_duckdb_log_message",
    ),
    *("timetz_byte_comparable", "timezone", "timezone_hour", "timezone_minute", "time_bucket", "age"),
    *("json_copy_strftime_if_date", "json_copy_strftime_if_timestamp", "to_aggregate_state", "json_group_structure"),
    *("formatreadablesize", "formatreadabledecimalsize", "log", "invoke"),
}
"""``age`` of two times is; of one it is refused, see below."""


@pytest.fixture(scope="module")
def functions():
    """Kind and stability of each function, by its name in lower case."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, stability FROM duckdb_functions()"
        ).fetchall()
    kinds = {}
    for name, kind, stability in rows:
        kinds.setdefault(name, []).append((kind, stability))
    return kinds


def test_what_is_not_consistent_is_refused(functions):
    changing = [
        name
        for name, kinds in functions.items()
        if any(kind == "scalar" and stability != "CONSISTENT" for kind, stability in kinds) and name != "error"
    ]
    assert len(changing) >= 25
    assert [name for name in changing if refusal(name) is None] == []


def test_what_is_named_after_a_clock_chance_session_or_file_is_refused(functions):
    scalar = [name for name, kinds in functions.items() if any(kind in ("scalar", "macro") for kind, _ in kinds)]
    allowed = {name for name in scalar if refusal(name) is None}
    assert {name for name in allowed if WORDS.search(name)} - REVIEWED == set()
    assert len(allowed) > 500


def test_what_takes_no_argument_is_refused(functions):
    with duckdb.connect() as connection:
        alone = []
        for name in functions:
            try:
                connection.execute(f"SELECT ({name}())").fetchall()
            except duckdb.Error:
                continue
            alone.append(name)
    constants = {name for name in alone if refusal(name) is None}
    assert {"now", "current_localtimestamp", "version", "uuidv7", "current_user", "txid_current"} <= set(
        alone
    ) - constants
    with duckdb.connect() as connection:  # what is left gives the same in another session, at another time
        for name in constants:
            values = [connection.cursor().execute(f"SELECT ({name}())").fetchall() for _ in range(2)]
            assert values[0] == values[1], name


@pytest.mark.parametrize(
    "expression",
    [
        "current_localtimestamp() > event_time::timestamp",
        '"Current_LocalTimestamp"() > event_time::timestamp',
        "main.current_localtimestamp() > event_time::timestamp",
        "system.main.now() > event_time",
        "CASE WHEN status = 200 THEN current_localtime() > '12:00'::time ELSE false END",
        "list_contains([current_localtime()], '12:00'::time)",
        "coalesce(age(event_time), interval 0 day) > interval 9 day",
        "pg_conf_load_time() > event_time",
        "version() = 'v2'",
        "user() = 'duckdb'",
        "hash(user_id) % 2 = 0",
        "list_aggregate([status], 'reservoir_quantile', 0.5) > 3",
        "json_serialize_plan('select 1') is null",
        "getvariable('a')::bool",
        "current_setting('threads')::int > 2",
        "nextval('s') > 1",
        "pg_size_pretty(status) = '1'",
        "__internal_compress_integral_utinyint(status, 1::smallint) = 1",
        "error('no')",
    ],
)
def test_what_looks_at_more_than_the_row_is_refused(expression):
    with pytest.raises(EngineError, match=r"\(\) (gives the same row another value|calls|reads|is of the engine)|TRY"):
        sql_type(expression, COLUMNS)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("COLUMNS('status') >= 500", "by the names of its columns"),
        ("#1 > event_time", "by the names of its columns"),
        ("status >= ?", "by the names of its columns"),
        ("exists(select 1)", "sees one row"),
        ("sum(status) over () > 3", "sees one row"),
        ("event_time > 'today'", "today"),
        ("event_time > 'now'::timestamptz", "now"),
        ("event_time::date > date 'yesterday'", "yesterday"),
        ("getenv('HOME') is null", "getenv"),
        ("read_text('/etc/hostname') is null", "read_text"),
        ("glob('*') is null", "glob"),
    ],
)
def test_other_ways_to_a_clock_or_a_file_are_refused(expression, message):
    with pytest.raises(EngineError, match=message):
        sql_type(expression, COLUMNS)


@pytest.mark.parametrize(
    "expression",
    [
        "lower(endpoint) like '/v1/%' and status between 500 and 599",
        "date_trunc('day', event_time) = event_time",
        "extract(hour from event_time at time zone 'Europe/Berlin') in (8, 9)",
        "event_time > timestamptz '2026-01-01' and age(event_time, timestamptz '2026-01-01') > interval 9 day",
        "endpoint.contains('/reports')",
        "list_sum([status, 1]) > 500 and split_part(sdk_version, '.', 1)::int >= 2",
        "if(status is null, false, status >= 500) or nullif(method, 'GET') is null",
        "md5(user_id) < '8' and latency_ms / 1000 > pi()",
        "regexp_matches(endpoint, '^/v[0-9]+/') and not isnan(latency_ms)",
    ],
)
def test_what_looks_at_the_row_alone_passes(expression):
    assert sql_type(expression, COLUMNS) == "BOOLEAN"


def test_a_column_before_its_function_is_a_column():
    assert columns_in("endpoint.contains(method)") == ("endpoint", "method")


@pytest.mark.parametrize("expression", ["now()::text", "current_date", "localtimestamp", "USER", "code || random()"])
def test_a_mapping_asks_no_clock_or_chance(expression):
    with pytest.raises(EngineError, match="gives the same row another value"):
        refuse_changing(expression, ["code"])


@pytest.mark.parametrize("expression", ["user", "Localtime", "list_filter([code], lambda x: x > 'a')", "error(code)"])
def test_a_column_of_that_name_is_a_column(expression):
    refuse_changing(expression, ["code", "USER", "localtime"])


def test_what_lies_in_a_column_is_asked_for_by_two_names():
    refuse_changing("user.id", ["code"])
