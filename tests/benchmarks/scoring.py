"""Score and explain 100,000 accounts against bare LightGBM on the same matrix."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pandas as pd

from features.feature_files import files_of_group
from features.settings import Settings
from tests.benchmarks.measure import alternating, cpu_ratio, middle
from tests.benchmarks.row import Row

ACCOUNTS, REASONS, ROUNDS = 100_000, 5, 3


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds, and the ratio to `predict` + `pred_contrib`, in alternation."""
    from serving.reasons import reasons_for
    from serving.scoring import load_scorer, score_rows
    from training.bundle import matrix
    from training.registry import champion

    scorer = load_scorer(champion(settings, "churn"))
    columns = tiled(settings, scorer.bundle.service)
    design = matrix(scorer.bundle, columns)

    def ours() -> None:
        scores = score_rows(scorer, columns)
        reasons_for(scores.features, columns, scores.contributions, limit=REASONS)

    def bare() -> None:
        scorer.booster.predict(design)
        scorer.booster.predict(design, pred_contrib=True)

    ratio, mine, theirs = alternating(ours, bare, rounds=ROUNDS)
    yield Row(
        f"score + explain, {ACCOUNTS:,} accounts, {REASONS} reasons",
        f"{middle(mine):.1f} s, {ratio:.2f} of bare LightGBM ({middle(theirs):.1f} s; CPU {cpu_ratio(mine, theirs):.2f})",
        "<= 60 s and <= 1.2",
        middle(mine) <= 60 and ratio <= 1.2,
        {
            "trees": scorer.booster.num_trees(),
            "columns": len(scorer.bundle.columns),
            "ours": [asdict(cost) for cost in mine],
            "bare": [asdict(cost) for cost in theirs],
        },
    )


def tiled(settings: Settings, service: str) -> dict[str, np.ndarray]:
    """Feature columns of the world's accounts at all its cutoffs, repeated up to the number of rows."""
    from features.build import built_cutoffs
    from features.store import open_store

    file = files_of_group(settings.home / "features", "usage", wanted=lambda _: True)[-1]
    accounts = pd.read_parquet(file, columns=["account_id"])["account_id"]
    entities = pd.DataFrame(
        {"account_id": accounts, "event_timestamp": pd.Timestamp(max(built_cutoffs(settings))).as_unit("us")}
    )
    frame = open_store(settings).historical(entities, service=service)
    places = np.arange(ACCOUNTS) % len(frame)
    return {name: frame[name].to_numpy()[places] for name in frame.columns[2:]}
