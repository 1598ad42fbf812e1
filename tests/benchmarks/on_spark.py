"""Rollup and build on a cluster of two executor processes, value for value against the embedded engine."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from features.build.build import build
from features.definitions.catalog import CATALOG
from features.home.home import Home
from features.offline.files import rows_at
from features.rollup.count import roll_up
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from tests.benchmarks.building import NOW
from tests.benchmarks.measure import Cost, apart, measured
from tests.benchmarks.row import Row
from tests.benchmarks.traffic import VALUE_ENDPOINT, cutoffs, make_events

EVENTS = 2_000_000
MASTER = "local-cluster[2,1,2048]"
CONF = {"spark.sql.shuffle.partitions": "4"}  # the 200 it would take are for more than two cores


def rows(kept: Path, scratch: Path) -> Iterator[Row]:
    """Seconds on either engine, and how many values differ; ``kept`` keeps the events for another time."""
    if not (kept / "events").exists():
        make_events(kept, EVENTS)
    homes = {name: scratch / name for name in ("duckdb", "spark")}
    for home in homes.values():
        home.mkdir(parents=True)
        (home / "events").symlink_to(kept / "events")
    # A process of its own each, which starts its cluster as well.
    took = {name: apart(everything, name, home) for name, home in homes.items()}
    wrong = different(*homes.values())
    seconds = {name: " + ".join(f"{cost.seconds:.1f}" for cost in costs) for name, costs in took.items()}
    yield Row(
        f"rollup + build on Spark, {EVENTS / 1e6:g} M events",
        f"{seconds['spark']} s on {MASTER} (here: {seconds['duckdb']} s); "
        + (f"{len(wrong)} values differ" if wrong else "same values"),
        "same values",
        not wrong,
        {
            "events": EVENTS,
            "master": MASTER,
            "conf": CONF,
            **{name: [asdict(cost) for cost in costs] for name, costs in took.items()},
            "different": wrong,
        },
    )


def everything(engine: str, home: Path) -> tuple[Cost, Cost]:
    """The whole history at once."""
    settings = settings_of(engine, home)
    return measured(lambda: roll_up(Home(settings)) and None), measured(
        lambda: build(Home(settings), cutoffs(), now=NOW) and None
    )


def settings_of(engine: str, home: Path) -> Settings:
    """The settings of a home whose engine is named so."""
    return Settings(home=home, value_endpoints=(VALUE_ENDPOINT,), engine=engine, spark_master=MASTER, spark_conf=CONF)


def different(ours: Path, theirs: Path) -> list[str]:
    """Rollup files with another content, and values that are not equal: floats to 1e-9 of themselves."""
    first, second = (Home(Settings(home=home)).stores.rollups.manifest().partitions for home in (ours, theirs))
    wrong = [partition for partition in {**first, **second} if first.get(partition) != second.get(partition)]
    for cutoff in cutoffs():
        here, there = (
            rows_at(ManifestStore(home / "features"), cutoff).sort_by("account_id") for home in (ours, theirs)
        )
        if not here["account_id"].equals(there["account_id"]):
            wrong.append(f"accounts {cutoff.date()}")
            continue
        for feature in CATALOG:
            pairs = zip(here[feature.name].to_pylist(), there[feature.name].to_pylist(), strict=True)
            bad = sum(not _is_equal(mine, other) for mine, other in pairs)
            if bad:
                wrong.append(f"{feature.name} {cutoff.date()}: {bad} of {len(here)}")
    return wrong


def _is_equal(mine: object, other: object) -> bool:
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=1e-9, abs_tol=0)
    return mine == other
