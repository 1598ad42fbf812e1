"""Runs Ibis expressions on a Spark cluster, by the methods of the DuckDB engine: the only door to pyspark."""

import atexit
import logging
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext, StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from features.engine.errors import EngineError
from features.engine.prepared import Prepared
from features.exceptions import DependencyError

__all__ = ["SparkEngine", "require_spark", "spark_engine", "stop_spark"]


_LOOPBACK = "127.0.0.1"
_SECONDS_TO_CONNECT = 5.0

# What values depend on; nothing the user sets comes before these.
_MEANING: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # a number too large is an error, not another number
    "spark.sql.caseSensitive": "true",
}
_DEFAULTS: Mapping[str, str] = {
    "spark.app.name": "bellwether",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "FATAL",  # what fails is raised, and said once
    "spark.driver.maxResultSize": "0",  # the driver writes the files; a query's rows are bounded by its chunk
    # A day is a file, and to list a thousand files is no work for a cluster.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
}
_SQL_TYPES: Mapping[type[dt.DataType], str] = {
    dt.String: "STRING",
    dt.Int16: "SMALLINT",
    dt.Int32: "INT",
    dt.Int64: "BIGINT",
    dt.Float64: "DOUBLE",
    dt.Boolean: "BOOLEAN",
    dt.Date: "DATE",
    dt.Timestamp: "TIMESTAMP",
}


class SparkEngine:
    """Runs prepared expressions on a cluster; made by :func:`spark_engine`."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self._persisted: dict[str, DataFrame] = {}
        with _spark_failures():
            for key, value in _MEANING.items():
                session.conf.set(key, value)

    def name_parquet(
        self,
        name: str,
        paths: Sequence[Path],
        *,
        schema: pa.Schema,
        absent_as_null: Sequence[str] = (),  # noqa: ARG002 (Spark's reader takes every absent column so)
    ) -> ir.Table:
        """Let ``name`` stand for these files from now on; the executors read them, so each must see them there.

        Columns that a file does not have are null.
        """
        columns = ibis.Schema.from_pyarrow(schema)
        with _spark_failures():
            if paths:
                typed = ", ".join(f"`{key}` {_SQL_TYPES[type(kind)]}" for key, kind in columns.items())
                # Without a scheme the path would be one of the cluster's default file system; nor is it a pattern.
                reader = self._session.read.schema(typed).option("__globPaths__", "false")
                rows = reader.parquet(*(f"file://{path}" for path in paths))
            else:
                rows = self._session.createDataFrame(schema.empty_table())
            self._name(name, rows)
        return ibis.table(columns, name=name)

    def name_rows(self, name: str, rows: pa.Table) -> ir.Table:
        """Let ``name`` stand for these few rows from now on."""
        with _spark_failures():
            self._name(name, self._session.createDataFrame(rows))
        return ibis.table(ibis.Schema.from_pyarrow(rows.schema), name=name)

    def name_prepared(self, name: str, prepared: Prepared) -> ir.Table:
        """Let ``name`` stand for the rows of a prepared expression; the first use runs it, the executors keep them."""
        with _spark_failures():
            # A lost executor loses the rows it kept: Spark then makes them again.
            rows = self._session.sql(prepared.sql).persist(StorageLevel.MEMORY_AND_DISK)
            self._name(name, rows)
            self._persisted[name] = rows
        return prepared.named(name)

    def run_prepared(self, prepared: Prepared) -> pa.Table:
        """Run a prepared expression and hand its rows out, in its own order."""
        with _spark_failures():
            rows = self._session.sql(prepared.sql).toArrow()
        return rows.cast(prepared.schema.to_pyarrow())

    def beside(self) -> "SparkEngine":
        """A second engine on the same cluster for another thread, with names of its own."""
        return SparkEngine(self._session.newSession())

    def close(self) -> None:
        """Free what the executors keep; the cluster's connection stays for the next engine of this process."""
        with _spark_failures():
            for rows in self._persisted.values():
                rows.unpersist()
        self._persisted.clear()

    def _name(self, name: str, rows: DataFrame) -> None:
        rows.createOrReplaceTempView(name)
        if name in self._persisted:
            self._persisted.pop(name).unpersist()


def spark_engine(*, master: str, conf: Mapping[str, str]) -> SparkEngine:
    """An engine on the cluster of ``master``; the first of a process connects, which takes seconds.

    Raises
    ------
    DependencyError
        When Spark cannot be started, or this process works on another cluster.
    """
    context = SparkContext._active_spark_context  # noqa: SLF001 - to ask for it in another way makes one
    if context is None:
        context = _connected(master, conf)
        atexit.register(stop_spark)  # a cluster that loses its driver without a word complains at length
    elif context.master != master:
        raise DependencyError(
            f"This process works on the Spark cluster {context.master}, so it cannot work on {master}. "
            "Start another process, or set spark_master to the first."
        )
    return SparkEngine(SparkSession(context).newSession())


def require_spark(master: str) -> None:
    """See that Java is there and the cluster answers.

    Raises
    ------
    DependencyError
        When not.
    """
    if SparkContext._active_spark_context is None:  # noqa: SLF001 - as above
        _require_java()
        _require_cluster(master)


def stop_spark() -> None:
    """Leave the cluster and end this process's Java; the next engine connects again."""
    context, java = SparkContext._active_spark_context, SparkContext._gateway  # noqa: SLF001 - as above
    if context is None:
        return
    context.stop()
    java.shutdown()
    java.proc.stdin.close()  # what Java waits for
    java.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - else the next engine would ask the one that ended


def _connected(master: str, conf: Mapping[str, str]) -> SparkContext:
    logging.getLogger("SQLQueryContextLogger").disabled = True  # pyspark says there what it raises
    given = {**_DEFAULTS, **conf, **_MEANING, "spark.master": master}
    is_here = master.startswith("local")
    if is_here:
        given = {"spark.driver.host": _LOOPBACK, "spark.driver.bindAddress": _LOOPBACK, **given}
        if not master.startswith("local-cluster"):  # of which executors are no part of this process
            given = {"spark.authenticate": "true", **given}  # else any user of the machine may speak to the driver
    with _bound_to_loopback(is_here=is_here):
        try:
            return SparkContext(conf=SparkConf().setAll(list(given.items())))
        except (PySparkException, Py4JError, OSError) as error:
            raise DependencyError(
                f"Spark cannot be started on {master}: {_plainly(error)} "
                "See that the cluster runs, and that spark_master and spark_conf fit it."
            ) from error


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    if shutil.which(java) is None:
        raise DependencyError(
            f"Engine spark needs Java 17 or newer, and there is no {java}. Install it, on Debian with "
            "`apt-get install openjdk-17-jre-headless`, or say where it is with JAVA_HOME."
        )


def _require_cluster(master: str) -> None:
    """Ask before Spark does: it would try for minutes, and then name neither the host nor the port."""
    if not master.startswith("spark://"):
        return
    hosts = master.removeprefix("spark://").split(",")
    for each in hosts:
        host, _, port = each.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS_TO_CONNECT).close()
        except (OSError, ValueError) as error:
            reason = error
        else:
            return
    raise DependencyError(
        f"The Spark cluster {master} cannot be reached: {reason}. Start it, or mend spark_master."
    ) from reason


@contextmanager
def _bound_to_loopback(*, is_here: bool) -> Iterator[None]:
    """What Spark starts on this machine is for this machine: its processes take the address from the environment."""
    before = os.environ.get("SPARK_LOCAL_IP")
    if is_here:
        os.environ["SPARK_LOCAL_IP"] = _LOOPBACK
    try:
        yield
    finally:
        if is_here:
            os.environ.pop("SPARK_LOCAL_IP")
            if before is not None:
                os.environ["SPARK_LOCAL_IP"] = before


@contextmanager
def _spark_failures() -> Iterator[None]:
    """Raise what Spark raises inside the block as an :class:`EngineError`."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise EngineError(f"Spark failed: {_plainly(error)} Nothing was published.") from error


def _plainly(error: Exception) -> str:
    """Spark's words in one line, without what its Java and its plans say of themselves."""
    java = getattr(error, "java_exception", None)
    text = str(java) if java is not None else str(error)
    first = text.split("\n\tat ")[0].split("\nDriver stacktrace")[0].split("JVM stacktrace")[0]
    return " ".join(first.split())[:1000].rstrip(".") + "."
