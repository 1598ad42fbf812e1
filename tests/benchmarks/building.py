"""Rollup and build against the hand-written script, from the same event files to the same values; and one more day."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.build.build import build
from features.definitions.catalog import GROUPS, features_of_group
from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.rollup.count import roll_up
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from features.windows import DAY
from tests.benchmarks.measure import Cost, apart, measured
from tests.benchmarks.row import Row
from tests.benchmarks.script import hand_written
from tests.benchmarks.traffic import CUTOFFS, DAYS, FIRST_DAY, VALUE_ENDPOINT, cutoffs, make_events

NOW = FIRST_DAY + (DAYS + 2) * DAY
NEXT = FIRST_DAY + DAYS * DAY
"""The cutoff that sees the last day; no Monday, so the weekly build leaves it out."""
EVENTS_OF_THE_BAR = 20_000_000


def rows(home: Path, *, events: int) -> Iterator[Row]:
    """The ratio and its memory, then one more day; ``home`` keeps the events for another time."""
    for store in ("rollups", "features"):
        shutil.rmtree(home / store, ignore_errors=True)
    if not (home / "events").exists():
        make_events(home, events)
    out = home / "script"
    out.mkdir(exist_ok=True)
    rollup, built = apart(everything, home)
    script = apart(measured, hand_written, home, out)
    wrong = different(settings_of(home), out)
    ratio = (rollup.seconds + built.seconds) / script.seconds
    cpu_ratio = (rollup.cpu_seconds + built.cpu_seconds) / script.cpu_seconds
    name = f"rollup + build, {events / 1e6:g} M events"
    yield Row(
        name,
        f"{ratio:.2f} of the script (CPU {cpu_ratio:.2f}): {rollup.seconds:.1f} + {built.seconds:.1f} s to {script.seconds:.1f} s"
        + (f"; {len(wrong)} values differ" if wrong else ""),
        "<= 2, same values",
        ratio <= 2 and not wrong,
        {
            "events": events,
            "rollup": asdict(rollup),
            "build": asdict(built),
            "script": asdict(script),
            "different": wrong,
        },
    )
    yield Row(f"{name}: peak memory", f"{built.peak_gib:.2f} GiB", "< 4 GiB", built.peak_gib < 4)
    allowed = rollup.seconds / DAYS + built.seconds / CUTOFFS
    allowed_cpu = rollup.cpu_seconds / DAYS + built.cpu_seconds / CUTOFFS
    cold, warm = apart(one_more_day, home)
    # A day of a small log costs what planning its queries costs, whatever it holds: the bar is one of big logs.
    has_bar = events >= EVENTS_OF_THE_BAR
    yield Row(
        f"{name}: one more day",
        f"{cold.seconds / allowed:.2f} (CPU {cold.cpu_seconds / allowed_cpu:.2f}; {cold.seconds:.2f} s to {allowed:.2f} s); {warm.seconds / allowed:.2f} (CPU {warm.cpu_seconds / allowed_cpu:.2f}) in a process that has built before",
        "<= 1.3, process start excluded" if has_bar else "- (at 20 M)",
        cold.seconds / allowed <= 1.3 if has_bar else None,
        {"cold": asdict(cold), "warm": asdict(warm), "allowed_seconds": allowed},
    )


def everything(home: Path) -> tuple[Cost, Cost]:
    """The whole history at once."""
    settings = settings_of(home)
    return measured(lambda: roll_up(Home(settings)) and None), measured(
        lambda: build(Home(settings), cutoffs(), now=NOW) and None
    )


def one_more_day(home: Path) -> tuple[Cost, Cost]:
    """The last day and the cutoff after it, forgotten and made again twice; what a process imports lies before."""
    import pandas as pd

    engine = duckdb_engine(threads=1, memory_limit="1GB")
    engine.name_rows("nothing", pa.Table.from_pandas(pd.DataFrame({"none": [0]})))
    engine.close()
    first, second = (measured(_one_more_day, forgotten(home)) for _ in range(2))
    return first, second


def forgotten(home: Path) -> Settings:
    """The home as it was before its last day was rolled up."""
    last = max(ManifestStore(home / "events").manifest().partitions)
    with ManifestStore(home / "rollups").writer() as writer:
        writer.remove(last)
    with ManifestStore(home / "features").writer() as writer:
        for group in GROUPS:
            writer.remove(f"{group}/cutoff={NEXT.date()}")
    return settings_of(home)


def settings_of(home: Path) -> Settings:
    """The settings of the rollups and features that the script computes too."""
    return Settings(home=home, value_endpoints=(VALUE_ENDPOINT,))


def _one_more_day(settings: Settings) -> None:
    counted = roll_up(Home(settings)).days_counted
    built = build(Home(settings), [NEXT], now=NOW + timedelta(days=1)).built
    if (counted, built) != (1, (NEXT,)):
        raise RuntimeError(f"one day and one cutoff were to be made, not {counted} and {built}")


def different(settings: Settings, out: Path) -> list[str]:
    """Values that are not equal: percentiles to 2.5 %, their ratio to 5.1 %, the rest to 1e-9."""
    store = Home(settings).stores.features
    wrong = []
    for cutoff in cutoffs():
        theirs = pq.read_table(out / f"{cutoff.date()}.parquet")
        for group in GROUPS:
            ours = pq.read_table(store.files(f"{group}/cutoff={cutoff.date()}", group)[0], partitioning=None)
            if ours["account_id"].to_pylist() != theirs["account_id"].to_pylist():
                wrong.append(f"{group} {cutoff.date()}: accounts")
                continue
            for feature in features_of_group(group):
                if feature.name.startswith("latency_p"):
                    tolerance = 0.051 if "_vs_" in feature.name else 0.025
                else:
                    tolerance = 1e-9
                pairs = zip(ours[feature.name].to_pylist(), theirs[feature.name].to_pylist(), strict=True)
                bad = sum(not equal(mine, other, tolerance) for mine, other in pairs)
                if bad:
                    wrong.append(f"{feature.name} {cutoff.date()}: {bad} of {len(ours)}")
    return wrong


def equal(ours: object, theirs: object, tolerance: float) -> bool:
    """Whether two values are both null or near enough."""
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, str):
        return ours == theirs
    return math.isclose(float(ours), float(theirs), rel_tol=tolerance, abs_tol=1e-9)
