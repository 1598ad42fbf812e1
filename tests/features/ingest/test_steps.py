"""A part of several columns is written once in the statement, and means what it meant in each."""

import ibis
import pyarrow as pa

from features.engine.duckdb_engine import duckdb_engine
from features.engine.prepared import prepare
from features.ingest.steps import in_two_steps

TEXTS = ibis.table({"text": "string", "unit": "int64"}, name="texts")


def columns():
    number = TEXTS.text.strip().try_cast("int64")
    micros = number * TEXTS.unit
    many = {f"later_{hours}h": micros + hours for hours in range(10)}  # of a few copies Ibis makes one step again
    return number, {"unit": TEXTS.unit, "micros": micros, "is_bad": TEXTS.text.notnull() & number.isnull(), **many}


def test_a_step_stands_once_in_the_statement():
    step, wanted = columns()
    assert prepare(TEXTS.select(**wanted)).sql.upper().count("TRY_CAST") == 12
    assert prepare(in_two_steps(TEXTS, wanted, [step])).sql.upper().count("TRY_CAST") == 1


def test_the_rows_are_the_same():
    step, wanted = columns()
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    rows = pa.table({"text": [" 4", "x", None, "7"], "unit": [1000, 1, 1, 10]})
    with engine.lent("texts", rows):
        plain, stepped = (
            engine.run_prepared(prepare(table)).to_pylist()
            for table in (TEXTS.select(**wanted), in_two_steps(TEXTS, wanted, [step]))
        )
    engine.close()
    assert stepped == plain
    assert [row["micros"] for row in stepped] == [4000, None, None, 70]
    assert [row["is_bad"] for row in stepped] == [False, True, False, False]
