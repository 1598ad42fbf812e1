"""The histogram's value is within 2.5 % of the nearest-rank value, from 0 to hours."""

import math

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.engine.duckdb_engine import duckdb_engine
from features.formulas.histogram import bucket_of, bucket_value, nearest_rank


@pytest.fixture(scope="module")
def engine():
    engine = duckdb_engine(threads=1, memory_limit="500MB")
    yield engine
    engine.close()


latencies = st.one_of(
    st.sampled_from([0.0, 1e-3, 0.01, 1.0, 1000.0, 3_600_000.0, 86_400_000.0, 1e12]),
    st.floats(min_value=1e-6, max_value=1e12),
)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(latencies, min_size=1, max_size=40), percent=st.sampled_from([50, 95, 99]))
def test_a_percentile_of_buckets_is_near_the_nearest_rank_of_values(engine, values, percent):
    table = ibis.memtable({"ms": values}, schema={"ms": "float64"})
    read = engine.to_arrow(table.select("ms", value=bucket_value(bucket_of(table.ms)))).to_pylist()
    rank = -(-percent * len(values) // 100)
    exact = sorted(values)[rank - 1]
    ours = sorted(row["value"] for row in read)[rank - 1]
    assert math.isclose(ours, exact, rel_tol=0.025, abs_tol=0.0)


def test_buckets_keep_the_order_of_latencies(engine):
    table = ibis.memtable({"ms": [0.0, 1e-9, 1e-3, 0.01, 1.0, 3.6e6, 1e12, 1e300]})
    buckets = engine.to_arrow(table.select(bucket=bucket_of(table.ms)))["bucket"].to_pylist()
    assert buckets == sorted(buckets)
    assert buckets[0] == 0
    assert buckets[1] == 1


def test_a_null_latency_has_no_value(engine):
    table = ibis.memtable({"bucket": [None, 0]}, schema={"bucket": "int32"})
    assert engine.to_arrow(table.select(ms=bucket_value(table.bucket)))["ms"].to_pylist() == [None, 0.0]


@pytest.mark.parametrize(("total", "percent", "rank"), [(1, 50, 1), (2, 50, 1), (3, 50, 2), (20, 95, 19), (21, 95, 20)])
def test_nearest_rank(total, percent, rank):
    assert nearest_rank(total, percent) == rank
