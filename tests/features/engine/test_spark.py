"""On a real cluster of two executor processes the same expressions give what the embedded engine gives.

One cluster serves the whole file. Its Java lives in the zone of Tokyo, so every test is one of zones as well.
"""

from __future__ import annotations

import gc
import math
import os
import random
import shutil
import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.common.exceptions import OperationNotDefinedError, UnsupportedOperationError

from features.build.build import build
from features.definitions.catalog import CATALOG, GROUPS
from features.engine.choice import chosen_engine, preparing
from features.engine.duckdb_engine import duckdb_engine
from features.engine.errors import EngineError
from features.engine.prepared import named, prepare
from features.exceptions import DependencyError
from features.formulas.histogram import BUCKET_GROWTH, bucket_of
from features.groups.releases import version_order
from features.home.home import Home
from features.ingest.ingest import ingest
from features.offline.files import rows_at
from features.rollup.count import roll_up
from features.rollup.tables import ROLLUPS
from features.schema import SUBSCRIPTIONS
from features.settings.fields import Settings
from features.simulator import simulate
from features.simulator.company import ENDPOINTS
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from tests.features.rollup.test_metrics_oracle import METRICS

if TYPE_CHECKING:
    from features.engine.spark_engine import SparkEngine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.delivery,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # pyspark's, one for each result
]

END = utc(2026, 6, 29)
BARE = END - 425 * DAY
"""What is known at it carries nothing but an account and a time."""
CUTOFFS = [BARE, END - 7 * DAY, END]
VERSIONS = ["1.9", "1.10", "v1.10", "2.0.0-beta.2", "2.0.0-beta.10", "2.0.0", "2.0.post1", "2.0+x", "nightly", ""]
EXECUTOR = "CoarseGrainedExecutorBackend"
# Three short-lived processes spend most of their time on compiling, verifying and collecting.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
JAVA = f"-Duser.timezone=Asia/Tokyo {QUICK}"
VALUE_ENDPOINTS = (f"POST {ENDPOINTS[0].route}", ENDPOINTS[1].route)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """Settings of the cluster, which the first engine starts."""
    missing = [name for name, there in {"java": shutil.which("java"), "pyspark": _has_pyspark()}.items() if not there]
    if missing:
        what = f"not installed: {', '.join(missing)}; `make spark` and `apt-get install openjdk-17-jre-headless`"
        if os.environ.get("BELLWETHER_REQUIRE_SERVICES") == "1":
            pytest.fail(what)
        pytest.skip(what)
    import pyspark

    from features.engine.spark_engine import stop_spark

    # The workers write into SPARK_HOME, which is where pyspark is installed.
    home = tmp_path_factory.mktemp("spark")
    for name in ("bin", "jars"):
        (home / name).symlink_to(Path(pyspark.__path__[0]) / name)
    conf = {
        "spark.driver.memory": "768m",
        "spark.executor.memory": "512m",
        "spark.local.dir": str(home),
        "spark.driver.extraJavaOptions": JAVA,
        "spark.executor.extraJavaOptions": JAVA,
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.constraintPropagation.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        yield {"engine": "spark", "spark_master": "local-cluster[2,1,512]", "spark_conf": conf}
        stop_spark()
        gc.collect()  # what pyspark left open is closed while its warnings are known


@pytest.fixture(scope="module")
def spark(cluster: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    """An engine on the cluster."""
    folder = tmp_path_factory.mktemp("engine")
    engine = chosen_engine(Home(Settings(home=folder, **cluster)).engine_choice, spill=folder)
    yield engine
    engine.close()


def _has_pyspark() -> bool:
    from importlib.util import find_spec

    return find_spec("pyspark") is not None


class Both:
    """The same raw tables rolled up and built twice: by the embedded engine and by Spark."""

    def __init__(self, duckdb: Settings, spark: Settings) -> None:
        self.duckdb, self.spark = duckdb, spark
        self.rows: dict[Any, list[pa.Table]] = {}

    def make(self, *cutoffs: Any) -> Both:
        for settings in (self.duckdb, self.spark):
            roll_up(Home(settings))
            build(Home(settings), cutoffs, now=END + DAY)
        homes = [settings.home / "features" for settings in (self.duckdb, self.spark)]
        self.rows = {cutoff: [rows_at(ManifestStore(home), cutoff) for home in homes] for cutoff in cutoffs}
        return self

    def feature(self, name: str, cutoff: Any) -> list[tuple[Any, Any]]:
        ours, theirs = self.rows[cutoff]
        assert ours["account_id"].equals(theirs["account_id"])
        assert (name, ours.schema.field(name).type) == (name, theirs.schema.field(name).type)
        return list(zip(ours[name].to_pylist(), theirs[name].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def both(cluster: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A simulated company of 60 accounts, and calls that are odd.

    One batch of cutoffs is built: what a query costs does not depend on how many it is for.
    """
    root = tmp_path_factory.mktemp("both")
    simulate(root / "files", accounts=60, days=36, calls_per_day=3.0, seed=3, end=END)
    pq.write_table(odd_events(), root / "odd.parquet")
    pq.write_table(odd_touchpoints(), root / "odd_touchpoints.parquet")
    pq.write_table(odd_subscriptions(), root / "odd_subscriptions.parquet")
    duckdb = Settings(home=root / "duckdb", value_endpoints=VALUE_ENDPOINTS, metrics=METRICS)
    ingest(
        Home(duckdb),
        now=END + DAY,
        events=[root / "files" / "events", root / "odd.parquet"],
        accounts=[root / "files" / "accounts.parquet"],
        subscriptions=[root / "files" / "subscriptions.parquet", root / "odd_subscriptions.parquet"],
        touchpoints=[root / "files" / "touchpoints.parquet", root / "odd_touchpoints.parquet"],
        backfill=True,
    )
    shutil.copytree(duckdb.home, root / "spark")
    spark = duckdb.model_copy(update={"home": root / "spark", **cluster})
    return Both(duckdb, spark).make(*CUTOFFS)


def odd_subscriptions() -> pa.Table:
    """Two subscriptions of an account, told apart by an id or not, learned of at once or late."""
    rows: list[dict[str, Any]] = []
    for number in range(6):
        ids, late = (("x", "y"), (None, None))[number % 2], (0, 0, 9)[number % 3] * DAY
        for age, name, kind, plan, mrr, quota in (
            (200, ids[0], "start", "pro", 100.0, 1000),
            (120, ids[1], "start", "add-on", 20.5, 50 if number < 4 else None),
            (60, ids[0], "upgrade", "max", 300.0, 5000),
            (9, ids[1], "cancel", "add-on", 20.5, None),
        ):
            at = END - age * DAY
            stated = {"plan": plan, "mrr": mrr, "quota_calls_per_month": quota, "term_end": END + 30 * DAY}
            account = {"account_id": f"odd_{number}", "subscription_id": name}
            rows.append({**account, "occurred_at": at, "known_at": at + late, "kind": kind, **stated})
    schema = pa.schema([field for field in SUBSCRIPTIONS.schema if field.name != "source_order"])
    return pa.Table.from_pylist(rows, schema)


def odd_events() -> pa.Table:
    """Days of a year ago, calls that came late or carry nothing, bursts of failures, odd versions, and ties."""
    rows: list[dict[str, Any]] = []
    for number, version in enumerate(VERSIONS * 2):
        account = f"odd_{number % 7}"
        for age in (1, 3, 30, 40, 45, 364, 366, 370, 391, 392):
            moment = END - age * DAY + timedelta(hours=number, microseconds=age)
            rows.append(
                {
                    "account_id": account,
                    "event_time": moment,
                    "ingested_at": moment + timedelta(hours=(0, 0, 20, 31, 400)[number % 5]),
                    "endpoint": None if number == 3 else f"/odd/{number % 3}",
                    "method": ("get", "GET", "POST", None)[number % 4],
                    "status": (200, None, 429, 503, 401, 404)[(number + age) % 6],
                    "latency_ms": (None, 0.0, 1e-9, 0.5, 1000.0, 7.2e6)[(number + 2 * age) % 6],
                    "token": f"t{number % 2}" if number % 3 else None,
                    "user_id": f"u{number % 5}" if number % 2 else None,
                    "sdk": ("go", "python", None)[number % 3],
                    "sdk_version": version or None,
                }
            )
    for second in range(30):
        moment = END - 5 * DAY + timedelta(seconds=second)
        rows.append({"account_id": "odd_0", "event_time": moment, "ingested_at": moment, "status": 500})
    for number, age in enumerate((430, 431, 433, 440, 452)):
        moment = END - age * DAY + timedelta(hours=number)
        rows.append({"account_id": f"bare_{number % 2}", "event_time": moment, "ingested_at": moment})
    times = {"event_time": pa.timestamp("us", tz="UTC"), "ingested_at": pa.timestamp("us", tz="UTC")}
    table = pa.Table.from_pylist(rows)
    return table.cast(pa.schema([field.with_type(times.get(field.name, field.type)) for field in table.schema]))


def odd_touchpoints() -> pa.Table:
    """Logins and surveys of accounts the log knows, one before all others, and two at the same time."""
    moments = [END - age * DAY for age in (100, 40, 12, 3, 3)]
    return pa.table(
        {
            "account_id": ["odd_1"] * 5 + ["odd_2"] * 5,
            "occurred_at": pa.array(moments * 2, pa.timestamp("us", tz="UTC")),
            "kind": ["login"] * 5 + ["nps", "csat", "nps", "nps", "nps"],
            "value": [None] * 5 + [9.0, 4.0, None, 7.0, 3.0],
        }
    )


def differing(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Pairs that are not equal: integers and texts exactly, floats to 1e-9 of themselves."""
    return [(ours, theirs) for ours, theirs in pairs if not _is_equal(ours, theirs)]


def _is_equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=0)
    return type(ours) is type(theirs) and ours == theirs


def test_every_feature_is_the_same_on_both_engines(both: Both) -> None:
    """One comparison; what fails names the features, and of each the pairs that differ."""
    pairs = {
        feature.name: [pair for cutoff in CUTOFFS for pair in both.feature(feature.name, cutoff)] for feature in CATALOG
    }
    assert [name for name, several in pairs.items() if len(several) <= 120] == []
    assert [name for name, several in pairs.items() if all(ours is None for ours, _ in several)] == []
    assert {name: several for name, found in pairs.items() if (several := differing(found))} == {}


def test_declared_metrics_are_the_same_on_both_engines(both: Both) -> None:
    (group,) = Home(both.duckdb).catalog.groups[len(GROUPS) :]
    for cutoff in CUTOFFS:
        partition = f"{group}/cutoff={cutoff.date()}"
        stores = [Home(settings).stores.features for settings in (both.duckdb, both.spark)]
        ours, theirs = (pq.read_table(store.files(partition)[0], partitioning=None) for store in stores)
        assert ours.schema.equals(theirs.schema)
        assert ours.num_columns == 3 + sum(len(metric["windows"]) for metric in METRICS.values())
        for name in ours.column_names:
            pairs = list(zip(ours[name].to_pylist(), theirs[name].to_pylist(), strict=True))
            assert (name, differing(pairs)) == (name, [])


def test_a_log_that_carries_nothing_leaves_the_same_nulls(both: Both) -> None:
    nothing = ["error_rate_28d", "endpoints_used_28d", "active_users_28d", "sdk_count_28d", "tickets_open"]
    assert {value for name in nothing for pair in both.feature(name, BARE) for value in pair} == {None}
    assert {ours for ours, _ in both.feature("calls_28d", BARE)} == {0, 2, 3}


def test_every_rollup_is_the_same_file_on_both_engines(both: Both) -> None:
    """Rollups are counts, times and values as they came, so not even the last digit may differ."""
    ours, theirs = (Home(settings).stores.rollups.manifest().partitions for settings in (both.duckdb, both.spark))
    days = [day for day in ours if day.startswith("day=")]
    assert len(days) > 40
    assert [
        (name, day) for name in ROLLUPS for day in days if _logical(ours[day], name) != _logical(theirs[day], name)
    ] == []


def test_the_sums_of_months_are_the_same_files(both: Both) -> None:
    ours, theirs = (Home(settings).stores.rollups.manifest().partitions for settings in (both.duckdb, both.spark))
    months = [month for month in ours if month.startswith("month=")]
    assert len(months) >= 3
    assert {month: ours[month] for month in months} == {month: theirs.get(month) for month in months}


def _logical(files: Mapping[str, str], name: str) -> dict[str, str]:
    return {file: content for file, content in files.items() if file.rsplit("-", 1)[0] == name}


def test_either_engine_goes_on_with_what_the_other_made(both: Both) -> None:
    other = both.spark.model_copy(update={"engine": "duckdb"})
    assert roll_up(Home(other)).days_counted == 0
    assert build(Home(other), CUTOFFS, now=END + DAY).built == ()
    stamps = [Home(settings).stores.features.manifest().lineage for settings in (both.duckdb, both.spark)]
    assert stamps[0] == stamps[1]
    assert len(stamps[0]) == (len(GROUPS) + 1) * len(CUTOFFS)


# ---- the cluster ---------------------------------------------------------------------------------


def processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "java" in each.name()]


def test_two_executor_processes_did_the_work(both: Both) -> None:
    executors = [each for each in processes() if EXECUTOR in " ".join(each.cmdline())]
    assert len(executors) == 2
    assert all(sum(each.cpu_times()[:2]) > 1 for each in executors)


def test_nothing_listens_but_on_loopback(both: Both) -> None:
    listening = [each.laddr.ip for one in processes() for each in one.net_connections() if each.status == "LISTEN"]
    assert len(listening) > 3
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}


def test_the_machine_is_not_in_the_zone_of_its_data(both: Both) -> None:
    from pyspark import SparkContext

    zone = SparkContext._active_spark_context._jvm.java.util.TimeZone.getDefault().getID()
    assert zone == "Asia/Tokyo"


def test_another_cluster_in_the_same_process_is_refused(spark: SparkEngine, tmp_path: Path) -> None:
    other = Settings(home=tmp_path, engine="spark", spark_master="local[1]")
    with pytest.raises(DependencyError, match=r"works on the Spark cluster local-cluster\[2,1,512\].*local\[1\]"):
        chosen_engine(Home(other).engine_choice, spill=tmp_path)


@pytest.fixture
def not_connected(cluster: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has asked for no engine yet."""
    from pyspark import SparkContext

    monkeypatch.setattr(SparkContext, "_active_spark_context", None)


@pytest.mark.parametrize(("master", "answer"), [("local[1]", "true"), ("local[2,3]", "true"), ("spark://a:7077", None)])
def test_no_other_user_of_the_machine_speaks_to_spark_here(
    monkeypatch: pytest.MonkeyPatch, master: str, answer: str | None
) -> None:
    from features.engine import spark_engine

    monkeypatch.setattr(spark_engine, "SparkContext", lambda conf: conf)
    assert spark_engine._connected(master, {}).get("spark.authenticate") == answer


@pytest.mark.usefixtures("not_connected")
def test_java_that_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(DependencyError, match=r"needs Java 17 or newer, and there is no .*/bin/java.*apt-get install"):
        chosen_engine(Home(Settings(home=tmp_path, engine="spark")).engine_choice, spill=tmp_path)


@pytest.mark.usefixtures("not_connected")
@pytest.mark.parametrize(("port", "reason"), [(None, "refused"), ("many", "invalid literal"), ("", "invalid literal")])
def test_a_cluster_that_does_not_answer_is_named(port: str | None, reason: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unused = free.getsockname()[1]
    master = f"spark://127.0.0.1:{unused if port is None else port}"
    with pytest.raises(DependencyError, match=f"{master} cannot be reached: .*{reason}.*spark_master") as raised:
        chosen_engine(Home(Settings(home=tmp_path, engine="spark", spark_master=master)).engine_choice, spill=tmp_path)
    assert raised.value.exit_code == 3


# ---- the gaps ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ask(spark: SparkEngine) -> Iterator[Any]:
    """Runs an expression over the one column ``x`` on both engines; gives pairs of values."""
    embedded = duckdb_engine(threads=1, memory_limit="500MB")

    def values(expression: Any, numbers: list[Any]) -> list[tuple[Any, Any]]:
        rows = pa.table({"x": numbers})
        found = []
        for engine, compile_it in ((embedded, prepare), (spark, preparing("spark"))):
            table = engine.name_rows("numbers", rows)
            found.append(engine.run_prepared(compile_it(expression(table.x).as_table())).column(0).to_pylist())
        return list(zip(*found, strict=True))

    yield values
    embedded.close()


def gap(reason: str, raises: type[Exception] = AssertionError) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=True, raises=raises, reason=reason)


@gap("Ibis has no rule for the most frequent value: features take the argmax, ties by name", OperationNotDefinedError)
def test_gap_mode(ask: Any) -> None:
    assert differing(ask(lambda x: x.mode(), [3, 1, 1])) == []


@gap("Ibis has no rule for the first of an order: features take row_number() = 0", UnsupportedOperationError)
def test_gap_first_of_an_order(ask: Any) -> None:
    assert differing(ask(lambda x: x.first(order_by=x), [3, 1, 2])) == []


@gap("Spark has no join as of a time: features join all that is known and keep the newest", UnsupportedOperationError)
def test_gap_as_of_join(ask: Any) -> None:
    assert differing(ask(lambda x: x.as_table().asof_join(x.as_table().view(), "x"), [1, 2])) == []


@gap("Spark fails where DuckDB gives infinity: every division goes through ratio()", EngineError)
def test_gap_division_by_zero(ask: Any) -> None:
    assert differing(ask(lambda x: 1.0 / x, [0.0, 2.0])) == []


@gap("Java writes the sharp s in capitals as SS: a method in such letters is another on each engine")
def test_gap_capitals(ask: Any) -> None:
    assert differing(ask(lambda x: x.upper(), ["gro\u00df"])) == []


@gap("the last digit of a logarithm is Java's own: a latency on the edge of two buckets is counted in either")
def test_gap_edge_of_a_bucket(ask: Any) -> None:
    assert differing(ask(bucket_of, [1e-6 * BUCKET_GROWTH**bucket for bucket in range(200)])) == []


@gap("DuckDB rounds the double, Java its shortest text: a fraction half between two decimals goes either way")
def test_gap_half_of_a_decimal(ask: Any) -> None:
    assert differing(ask(lambda x: x.cast("decimal(38, 6)"), [64 + 129e-6 / 2, 128 + 257e-6 / 2])) == []


@gap("a negative place counts from the end on DuckDB and is none on Spark: features ask for none")
def test_gap_negative_place(ask: Any) -> None:
    assert differing(ask(lambda x: ibis.array([x, x])[x], [-1])) == []


# ---- what was mended between Ibis and Spark ------------------------------------------------------


def test_latencies_fall_into_the_same_buckets(ask: Any) -> None:
    dice = random.Random(1)
    latencies = [round(dice.lognormvariate(4, 2), places) for places in (0, 2, 15) for _ in range(3000)]
    assert differing(ask(bucket_of, latencies)) == []


def test_versions_sort_in_the_same_order(ask: Any) -> None:
    odd = ["1.2.3.4.5", "1.0-$x\\1", "1.0-\u03b22", "1.2\n", "1.0-12345678901234567890123", "\u0661.\u0662"]
    assert differing(ask(version_order, [*VERSIONS, *odd])) == []


def test_nulls_nan_and_places_mean_the_same(ask: Any) -> None:
    pairs = ask(
        lambda x: ibis.struct(
            {"null": x.isnull(), "there": x.notnull(), "outside": ibis.array([x, x])[5], "more": x * 0.1 + 0.2}
        ),
        [float("nan"), 1.5, None],
    )
    assert [str(ours) for ours, _ in pairs] == [str(theirs) for _, theirs in pairs]


def test_a_condition_that_is_null_counts_nothing(ask: Any) -> None:
    assert ask(lambda x: x.count(where=x > ibis.null("int64")), [1, 2]) == [(0, 0)]


def test_no_files_are_an_empty_table(spark: SparkEngine) -> None:
    schema = ROLLUPS["usage"].schema
    spark.name_parquet("nothing", [], schema=schema)
    rows = spark.run_prepared(preparing("spark")(named("nothing", schema)))
    assert rows.schema.equals(schema)
    assert rows.num_rows == 0


def test_a_name_is_no_pattern(spark: SparkEngine, tmp_path: Path) -> None:
    path = tmp_path / "a [b] {c}*%20 d.parquet"
    pq.write_table(pa.table({"n": [7]}), path)
    table = spark.name_parquet("odd", [path], schema=pa.schema([("n", pa.int64())]))
    assert spark.run_prepared(preparing("spark")(table)).to_pylist() == [{"n": 7}]


def test_what_fails_on_spark_is_an_error_of_the_engine(spark: SparkEngine, tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])
    with pytest.raises(EngineError, match=r"^Spark failed: .*PATH_NOT_FOUND.* Nothing was published\.$"):
        spark.name_parquet("gone", [tmp_path / "gone"], schema=schema)
