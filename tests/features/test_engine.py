import ibis
import pyarrow as pa
import pytest

from features.engine import EngineError, columns_in, duckdb_engine, sql_type


@pytest.fixture
def engine():
    made = duckdb_engine(threads=1, memory_limit="512MB")
    yield made
    made.close()


def test_a_full_disk_under_the_engine_says_what_to_do(engine, tmp_path):
    full = tmp_path / "full.parquet"
    full.symlink_to("/dev/full")
    with pytest.raises(
        EngineError, match=r"cannot be written: .*No space left on device. Free space.* Nothing was publ"
    ):
        engine.write_parquet(ibis.memtable({"a": [1]}), full)


def test_no_room_to_spill_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    engine = duckdb_engine(threads=1, memory_limit="20MB", spill=tmp_path / "file/spill")
    with pytest.raises(EngineError, match=r"(Free space|free space under the home).* Nothing was published"):
        engine.cache(ibis.range(3_000_000).unnest().name("n").as_table().mutate(text=ibis.literal("x" * 100)))
    engine.close()


def test_expressions_keep_the_order_and_say_where_they_fail(engine):
    rows = pa.table({"code": [str(n) if n != 70_000 else "x" for n in range(100_000)]})
    values, failed = engine.evaluate(rows, {"made": "code::int * 2"}, tried={"made"})
    assert values["made"].to_pylist() == [n * 2 if n != 70_000 else None for n in range(100_000)]
    assert failed["made"].index(True).as_py() == 70_000


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ('lower(url) || "Query String"', ("url", "Query String")),
        ("'url' || url || url", ("url",)),
        ("payload->>'$.url'", ("payload",)),
        ("1", ()),
    ],
)
def test_an_expression_knows_its_columns(expression, columns):
    assert columns_in(expression) == columns


@pytest.mark.parametrize(
    "expression", ["age(event_time, timestamptz '2026-01-01') > interval 9 day", "nullif(code, 1) > 2"]
)
def test_what_asks_no_clock_passes(expression):
    columns = pa.schema([("event_time", pa.timestamp("us", tz="UTC")), ("code", pa.int16())])
    assert sql_type(expression, columns) == "BOOLEAN"
