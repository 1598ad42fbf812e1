import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.engine.errors import EngineError
from features.engine.prepared import named, prepare
from features.engine.sql import columns_in, sql_type


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


NUMBERS = pa.schema([("n", pa.int64())])


def more_than(least):
    """The same expression anew at each call."""
    numbers = named("numbers", NUMBERS)
    return numbers.filter(numbers.n > least).order_by(numbers.n.desc())


def test_an_equal_expression_is_compiled_once_and_reads_what_the_name_stands_for_now(engine):
    assert prepare(more_than(1)) is prepare(more_than(1))
    other = duckdb_engine(threads=1, memory_limit="512MB")
    for one, numbers in ((engine, [1, 2, 3]), (other, [5]), (engine, [7, 1, 9])):
        one.name_rows("numbers", pa.table({"n": numbers}))
        wanted = sorted((n for n in numbers if n > 1), reverse=True)
        assert one.to_arrow(more_than(1))["n"].to_pylist() == wanted
        assert one.to_arrow(one.cache(more_than(1)))["n"].to_pylist() == wanted
        assert one.count(more_than(1)) == len(wanted)
    other.close()


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0)])
def test_literals_that_python_takes_for_equal_are_different_expressions(engine, one, other):
    engine.name_rows("numbers", pa.table({"n": [0]}))
    found = [engine.to_arrow(named("numbers", NUMBERS).select(v=ibis.literal(value)))["v"] for value in (one, other)]
    assert [type(column[0].as_py()) for column in found] == [type(one), type(other)]


def test_rows_in_memory_are_not_kept_with_an_expression(engine):
    for numbers in ([1], [2, 3]):
        assert engine.to_arrow(ibis.memtable({"n": numbers}).order_by("n"))["n"].to_pylist() == numbers


def test_engines_of_one_instance_run_the_same_expression_at_once(engine):
    engines = [engine, *(engine.beside() for _ in range(3))]
    for number, one in enumerate(engines):
        one.name_rows("numbers", pa.table({"n": range(number, number + 1000)}))
    prepared = prepare(more_than(0))

    def largest(place):
        return {engines[place].run_prepared(prepared)["n"][0].as_py() for _ in range(50)}

    with ThreadPoolExecutor(len(engines)) as pool:
        assert list(pool.map(largest, range(len(engines)))) == [{999}, {1000}, {1001}, {1002}]
    for one in engines[1:]:
        one.close()


def test_a_statement_belongs_to_one_thread(engine):
    both_there = Barrier(2, timeout=60)

    def parsed(_):
        found = [engine._statement("SELECT 1") for _ in range(2)]
        both_there.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        (one, again), (other, _) = pool.map(parsed, range(2))
    assert one is again
    assert one is not other


def test_what_is_cached_has_the_types_it_is_said_to_have(engine, tmp_path):
    engine.name_rows("numbers", pa.table({"n": [1, 2]}))
    numbers = named("numbers", NUMBERS)
    kept = engine.cache(numbers.agg(total=numbers.n.sum()))
    engine.write_parquet(kept, tmp_path / "kept.parquet")
    assert pq.read_schema(tmp_path / "kept.parquet").field("total").type == pa.int64()
    engine.name_rows("numbers", pa.table({"n": [2**62, 2**62]}))
    with pytest.raises(EngineError, match="out of range"):
        engine.cache(numbers.agg(total=numbers.n.sum()))


def test_a_prepared_expression_keeps_no_engine_alive(tmp_path):
    pq.write_table(pa.table({"n": [1]}), tmp_path / "numbers.parquet")
    engine = duckdb_engine(threads=1, memory_limit="512MB")
    backend = weakref.ref(engine.connection)
    prepare(engine.read_parquet([tmp_path / "numbers.parquet"], schema=NUMBERS).filter(ibis._.n > 0))
    engine.close()
    del engine
    gc.collect()
    assert backend() is None


def test_small_tables_are_not_packed_in_memory():
    """Of DuckDB 2.0: at 16 MiB it packs tables in memory, at once and again, which costs more than making them."""
    engine = duckdb_engine(threads=1, memory_limit="512MB")
    (threshold,) = engine.connection.raw_sql("SELECT current_setting('checkpoint_threshold')").fetchone()
    engine.close()
    assert threshold == "1.0 GiB"
