"""Score and explain 100,000 accounts against bare LightGBM on the same matrix."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pandas as pd

from features.definitions.catalog import features_of_service
from features.home.home import Home
from features.offline.files import files_of_group
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from tests.benchmarks.measure import alternating, cpu_ratio, middle
from tests.benchmarks.row import Row

ACCOUNTS, REASONS, ROUNDS = 100_000, 5, 3


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds, and the ratio to `predict`, `pred_contrib` and one matrix product of a scorecard that counts."""
    from serving.scoring.reasons import reasons_for
    from serving.scoring.score import load_scorer, score_rows
    from training.models.matrix import matrix
    from training.registry.champions import champion

    scorer = load_scorer(champion(Home(settings), "churn"))
    columns = tiled(settings, scorer.bundle.service)
    design = matrix(scorer.bundle, columns)

    scorecard = scorer.bundle.scorecard
    points = None if scorecard is None else scorecard.contributions(columns)

    def ours() -> None:
        scores = score_rows(scorer, columns)
        found = reasons_for(
            scores.features,
            columns,
            scores.contributions,
            limit=REASONS,
            target=scorer.target,
            yardsticks=scorer.yardsticks,
            catalog=scorer.catalog,
        )
        assert len(found) == ACCOUNTS
        assert all(found.text)  # every sentence of every account is written

    def bare() -> None:
        scorer.booster.predict(design)
        scorer.booster.predict(design, pred_contrib=True)
        if points is not None:
            points @ np.ones(points.shape[1])

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
    """Feature columns of the world's accounts at all its cutoffs, repeated up to the number of rows.

    Sentences are written once per value, so a repeated value would cost nothing: every number that is no count is moved
    by up to a thousandth, and no two rows share it.
    """
    from features.feature_store.store import open_store

    files = files_of_group(ManifestStore(settings.home / "features"), "usage", wanted=lambda _: True)
    entities = pd.concat([pd.read_parquet(file, columns=["account_id", "event_timestamp"]) for file in files])
    frame = open_store(Home(settings)).historical(entities, service=service)
    places, dice = np.arange(ACCOUNTS) % len(frame), np.random.default_rng(7)
    return {
        feature.name: values * dice.uniform(0.999, 1.001, ACCOUNTS) if feature.kind == "float" else values
        for feature in features_of_service(service)
        for values in [frame[feature.name].to_numpy()[places]]
    }
