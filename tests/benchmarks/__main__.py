"""Runs the benchmarks: one table on stdout, progress on stderr, every figure as JSON under the home."""

import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from features.settings.fields import Settings
from features.settings.load import load_settings
from features.start import start
from tests.benchmarks import bars, building, diagnosing, frame, ingesting, on_spark, real_log, request, scaling, scoring
from tests.benchmarks.row import Row, table, write_json
from tests.benchmarks.world import make_world

NAMES = ("build", "scale", "spark", "ingest", "frame", "score", "http", "simulator", "diagnosis", "real-log")
SIZES = (2_000_000, 20_000_000)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--events", "sizes", type=int, multiple=True, default=SIZES, help="Sizes of build; repeat for several.")
@click.option("--ingest-events", type=int, default=2_000_000, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the events of build there and use them again.")
@click.option("--home", type=click.Path(path_type=Path), help="Home whose folder bench/ gets the JSON.")
def main(
    names: tuple[str, ...], sizes: tuple[int, ...], ingest_events: int, keep: Path | None, home: Path | None
) -> None:
    """Measure NAMES (default: all) and compare with the bars; exits with 1 when one is missed."""
    settings = load_settings(home=home) if home else load_settings()
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = list(measured(names or NAMES, Path(folder), sizes=sizes, ingest_events=ingest_events, keep=keep))
    print(table(found))
    path = settings.home / "bench" / f"{began:%Y%m%dT%H%M%SZ}.json"
    write_json(found, path, began=began.isoformat(), processors=os.cpu_count(), load=os.getloadavg())
    print(path, file=sys.stderr)
    if any(row.held is False for row in found):
        sys.exit(1)


def measured(
    names: tuple[str, ...], scratch: Path, *, sizes: tuple[int, ...], ingest_events: int, keep: Path | None
) -> Iterator[Row]:
    """The rows, as they come."""

    @functools.cache
    def world() -> Settings:
        return make_world(scratch / "world")

    works: dict[str, list[Callable[[], Iterator[Row]]]] = {
        "build": [functools.partial(_build, keep or scratch, size) for size in sizes],
        "scale": [lambda: scaling.rows(*(_home(keep or scratch, size) for size in (scaling.SMALL, scaling.BIG)))],
        "spark": [lambda: on_spark.rows(_home(keep or scratch, on_spark.EVENTS), scratch / "spark")],
        "ingest": [lambda: ingesting.rows(events=ingest_events)],
        "frame": [frame.rows],
        "score": [lambda: scoring.rows(world())],
        "http": [lambda: request.rows(world())],
        "simulator": [_simulator],
        "diagnosis": [diagnosing.rows],
        "real-log": [real_log.rows],
    }
    for name in names:
        for work in works[name]:
            began = time.perf_counter()
            print(f"{name}: measuring (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
            try:
                for row in work():
                    print(f"{name}: {row.name}: {row.measured}", file=sys.stderr, flush=True)
                    yield row
            except Exception as error:  # noqa: BLE001 - one benchmark that breaks must not lose the others' figures
                yield Row(name, f"failed: {type(error).__name__}: {error}", "-", held=False)
            print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def _home(folder: Path, events: int) -> Path:
    home = folder / f"build-{events}"
    home.mkdir(parents=True, exist_ok=True)
    return home


def _build(folder: Path, events: int) -> Iterator[Row]:
    return building.rows(_home(folder, events), events=events)


def _simulator() -> Iterator[Row]:
    for found in bars.rows(seeds=(1, 2, 3), targets=("churn", "upsell"), **bars.COMPANY):
        for name, (low, high) in bars.BARS.items():
            bar = " and ".join(f"{sign} {edge}" for sign, edge in ((">=", low), ("<=", high)) if edge is not None)
            yield Row(
                f"simulator, {found['target']}, seed {found['seed']}: {name}",
                f"{found[name]:.3f}",
                bar,
                found["bars"][name],
                found,
            )


if __name__ == "__main__":
    start()

    main()
