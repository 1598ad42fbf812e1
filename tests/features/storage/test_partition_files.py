"""Rows that an engine left in disorder never become a file, and the engine hands rows out as they were ordered."""

from datetime import date

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.engine.prepared import prepare
from features.exceptions import WorkFailedError
from features.storage.partition_files import write_parts

MONDAY, TUESDAY = date(2026, 6, 1), date(2026, 6, 2)
ORDER = ("event_day", "account_id")


def rows(*pairs):
    days, accounts = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"event_day": pa.array(days, pa.date32()), "account_id": pa.array(accounts, pa.string())})


def paths(folder):
    return {day: folder / f"{day}.parquet" for day in (TUESDAY, MONDAY)}


def test_each_day_has_a_file_and_an_absent_day_an_empty_one(tmp_path):
    assert write_parts(rows((MONDAY, "a"), (MONDAY, "a"), (MONDAY, "b")), ORDER, paths(tmp_path)) == {
        MONDAY: 3,
        TUESDAY: 0,
    }
    assert pq.read_table(tmp_path / f"{MONDAY}.parquet")["account_id"].to_pylist() == ["a", "a", "b"]
    assert pq.read_table(tmp_path / f"{TUESDAY}.parquet").num_rows == 0


def test_mixed_days_are_refused(tmp_path):
    with pytest.raises(WorkFailedError, match=r"not sort its rows by event_day and account_id: 2026-06-01 is mixed"):
        write_parts(rows((MONDAY, "a"), (TUESDAY, "a"), (MONDAY, "b")), ORDER, paths(tmp_path))


def test_mixed_accounts_inside_a_day_are_refused(tmp_path):
    with pytest.raises(WorkFailedError, match=r"2026-06-02 is mixed. Nothing was published"):
        write_parts(rows((MONDAY, "a"), (TUESDAY, "b"), (TUESDAY, "a")), ORDER, paths(tmp_path))


@pytest.mark.parametrize("way", ["run_prepared", "to_arrow", "batches", "write_parquet"])
def test_the_engine_keeps_the_order_of_an_expression_over_many_row_groups(tmp_path, way):
    numbers = ibis.range(300_000).unnest().name("number").as_table()
    table = numbers.select(key=numbers.number * 7919 % 300_007).order_by("key")
    engine = duckdb_engine(threads=4, memory_limit="1GB")
    match way:
        case "run_prepared":
            found = engine.run_prepared(prepare(table))
        case "to_arrow":
            found = engine.to_arrow(table)
        case "batches":
            found = pa.Table.from_batches(engine.batches(table, rows=50_000))
        case _:
            engine.write_parquet(table, tmp_path / "file.parquet")
            found = pq.read_table(tmp_path / "file.parquet")
    engine.close()
    keys = found["key"].combine_chunks()
    assert len(keys) == 300_000
    assert pc.all(pc.greater_equal(keys[1:], keys[:-1])).as_py()
