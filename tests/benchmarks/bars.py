"""The simulator's bars: ranking against the true risk, and calibration, on worlds of several seeds."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from features.home.home import Home
from features.start import start

BARS = {
    "share_of_true_risk_roc_auc": (0.97, None),
    "ece": (None, 0.02),
    "calibration_slope": (0.8, 1.25),
    "predicted_over_observed": (0.85, 1.15),
    "brier_skill": (0.0, None),
}
"""Figure to its lowest and highest allowed value."""

COMPANY = {"accounts": 12_000, "days": 300, "calls_per_day": 5.0}
"""Large enough to tell: chance alone moves predicted over observed by the root of 1/fitting + 1/test events, which
with the 70 departures of a thousand accounts is wider than the bar, and here about a third of it."""


def is_held(name: str, value: float) -> bool:
    low, high = BARS[name]
    return (low is None or value >= low) and (high is None or value <= high)


def judged(
    home: Path, targets: Sequence[str], *, seed: int, accounts: int, days: int, calls_per_day: float
) -> Iterator[dict[str, Any]]:
    """Simulate a company, take its log the whole way, and judge a model of each target as `bellwether train` does."""
    import pandas as pd

    from features.build.build import build
    from features.feature_store.store import open_store
    from features.ingest.ingest import ingest
    from features.rollup.count import roll_up
    from features.settings.load import load_settings
    from features.simulator import simulate
    from features.windows import DAY, cutoffs_between, utc
    from training.judging.judge import distinct_events, fit_and_judge
    from training.labels.dataset import load
    from training.labels.targets import target

    end = utc(2026, 6, 29)
    files = home / "files"
    simulate(files, accounts=accounts, days=days, calls_per_day=calls_per_day, seed=seed, end=end)
    settings = load_settings(home=home / "home")
    now = end + timedelta(hours=12)
    tables = {name: [files / f"{name}.parquet"] for name in ("accounts", "subscriptions", "touchpoints")}
    ingest(Home(settings), now=now, events=[files / "events"], **tables, complete_until=end)
    roll_up(Home(settings))
    build(Home(settings), list(cutoffs_between(end - (days - 28) * DAY, end)), now=now)
    open_store(Home(settings)).apply()
    truth = pd.read_parquet(files / "truth.parquet")
    for name in targets:
        dataset = load(Home(settings), target(name, Home(settings)))
        judgement = fit_and_judge(dataset, Home(settings), truth=truth)
        yield {
            "target": name,
            **judgement.measures.metrics,
            **judgement.measures.truth,
            "judged_events": distinct_events(judgement.rows),
            "rounds": judgement.model.rounds,
            "calibration": judgement.model.calibration.method,
            "verdict": [judgement.verdict.answer, *judgement.verdict.sentences],
        }


def rows(
    *, seeds: Sequence[int], accounts: int, days: int, calls_per_day: float, targets: Sequence[str] = ("churn",)
) -> Iterator[dict[str, Any]]:
    """One row per seed and target, with what was held."""
    for seed in seeds:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            size = {"accounts": accounts, "days": days, "calls_per_day": calls_per_day}
            for found in judged(Path(folder), targets, seed=seed, **size):
                held = {name: is_held(name, found[name]) for name in BARS}
                seconds = time.perf_counter() - began
                yield {"seed": seed, **found, "seconds": seconds, "bars": held, "held": all(held.values())}


@click.command()
@click.option(
    "--target",
    "targets",
    type=click.Choice(["churn", "upsell"]),
    multiple=True,
    default=("churn",),
    show_default=True,
    help="What to foretell; repeat for both on the same companies.",
)
@click.option("--seed", "seeds", type=int, multiple=True, default=(1, 2, 3), show_default=True)
@click.option("--accounts", type=int, default=COMPANY["accounts"], show_default=True)
@click.option("--days", type=int, default=COMPANY["days"], show_default=True)
@click.option("--calls-per-day", type=float, default=COMPANY["calls_per_day"], show_default=True)
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the rows there as well.")
def main(
    targets: tuple[str, ...],
    seeds: tuple[int, ...],
    accounts: int,
    days: int,
    calls_per_day: float,
    output: Path | None,
) -> None:
    """Judge the model on simulated companies and compare with the bars."""
    found = []
    for row in rows(seeds=seeds, accounts=accounts, days=days, calls_per_day=calls_per_day, targets=targets):
        found.append(row)
        bars = "  ".join(f"{name} {row[name]:.3f}{'' if row['bars'][name] else ' (missed)'}" for name in BARS)
        click.echo(
            f"{row['target']}, seed {row['seed']}: ROC-AUC {row['roc_auc']:.3f} of {row['true_risk_roc_auc']:.3f}  {bars}  "
            f"[{row['judged_events']} judged events, {row['seconds']:.0f} s]"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    click.echo(f"peak memory {peak:.2f} GiB")
    if output:
        output.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if not all(row["held"] for row in found):
        sys.exit(1)


if __name__ == "__main__":
    start()
    main()
