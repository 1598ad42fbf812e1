"""The settings choose the engine, and what the cluster needs is asked for only by those who chose it."""

import ast
import sys
import tomllib
from pathlib import Path

import ibis
import pytest

from features.doctor.files import FILE_CHECKS
from features.engine.choice import chosen_engine, compiled_file, portion, preparing
from features.engine.duckdb_engine import Engine
from features.engine.spark_sql import spark_sql
from features.exceptions import DependencyError
from features.home.home import Home
from features.settings.fields import Settings
from features.windows import utc

NOW = utc(2026, 6, 29, 12)
ROOT = Path(__file__).parents[3]
EVENTS = ibis.table({"at": "timestamp('UTC', 6)", "text": "string", "share": "float64", "n": "int64"}, name="events")


def test_without_a_word_the_engine_is_the_embedded_one(tmp_path):
    engine = chosen_engine(Home(Settings(home=tmp_path)).engine_choice, spill=tmp_path / "spill")
    assert isinstance(engine, Engine)
    engine.close()


@pytest.fixture
def without_pyspark(monkeypatch):
    monkeypatch.delitem(sys.modules, "features.engine.spark_engine", raising=False)
    for name in ("py4j", "py4j.protocol", "pyspark"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_pyspark")
def test_pyspark_that_is_missing_is_asked_for(tmp_path):
    (needed,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["spark"]
    with pytest.raises(DependencyError, match=r"needs pyspark, which is not installed.*`make spark`") as raised:
        chosen_engine(Home(Settings(home=tmp_path, engine="spark")).engine_choice, spill=tmp_path)
    assert f"pip install '{needed}'" in str(raised.value)
    assert raised.value.exit_code == 3


@pytest.mark.usefixtures("without_pyspark")
def test_the_doctor_says_that_pyspark_is_missing(tmp_path):
    (check,) = [check for check in FILE_CHECKS if check.name == "engine"]
    assert list(check.look(Home(Settings(home=tmp_path)), NOW)) == []
    (finding,) = check.look(Home(Settings(home=tmp_path, engine="spark")), NOW)
    assert "needs pyspark" in finding.what


def test_nobody_loads_the_cluster_s_library_before_it_is_chosen():
    for path in (ROOT / "features").rglob("*.py"):
        loaded = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
        assert "features.engine.spark_engine" not in [node.module for node in loaded], path


def test_each_engine_has_its_own_file_and_its_own_portion(tmp_path):
    files = [compiled_file(tmp_path, "build", engine).name for engine in ("duckdb", "spark")]
    assert files == ["build.json", "build-spark.json"]
    assert portion("spark").event_bytes > portion("duckdb").event_bytes


@pytest.mark.parametrize(
    ("column", "sql"),
    [
        (EVENTS.share * 0.1, "`t0`.`share` * CAST('0.1' AS DOUBLE)"),
        (EVENTS.share.isnull(), "`t0`.`share` IS NULL"),
        (EVENTS.count(where=EVENTS.n > 1), "COUNT_IF(`t0`.`n` > 1)"),
        (ibis.array([EVENTS.n])[EVENTS.n], "GET(ARRAY(`t0`.`n`), CAST(`t0`.`n` AS INT))"),
        (ibis.range(0, EVENTS.n).unnest().cast("float64"), "EXPLODE(CAST("),
        (EVENTS.text.re_replace(r"(\d)\$", r"\1$"), r"REGEXP_REPLACE(`t0`.`text`, '(\\d)\\$', '$1\\$')"),
        (EVENTS.n.as_interval("D"), "MAKE_DT_INTERVAL(CAST(`t0`.`n` AS INT))"),
    ],
)
def test_spark_sql_is_written_without_pyspark(column, sql):
    assert sql in spark_sql(column.as_table())


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_a_moment_is_a_number_on_each_engine(engine):
    from features.engine.functions import microseconds_since_epoch

    made = preparing(engine)(EVENTS.select(us=microseconds_since_epoch(EVENTS.at)))
    assert made.schema == ibis.schema({"us": "int64"})
    assert {"duckdb": "EPOCH_US", "spark": "UNIX_MICROS"}[engine] in made.sql
