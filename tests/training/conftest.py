"""A company small enough to train on in seconds, whose risk is known."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.windows import days_later, utc
from training import flow
from training.flow import TrainReport
from training.judging.judge import Judgement
from training.labels.dataset import Dataset, assemble
from training.labels.excluded import Excluded
from training.labels.labels import label
from training.labels.targets import target
from training.models.bundle import Bundle

FIRST = utc(2025, 1, 6)  # a Monday
WEEKS = 36


def subscriptions(*rows: tuple) -> pd.DataFrame:
    """Subscription events from (account, occurred, kind[, known[, term_end]]); known when they occurred."""
    full = [(*row, *(None,) * (5 - len(row))) for row in rows]
    full = [(account, at, kind, known or at, ends) for account, at, kind, known, ends in full]
    frame = pd.DataFrame(full, columns=["account_id", "occurred_at", "kind", "known_at", "term_end"])
    for name in ("occurred_at", "known_at", "term_end"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame.assign(plan="basic", mrr=10.0, quota_calls_per_month=None, source_order=range(len(frame)))


def company(
    settings: Settings, *, accounts: int = 300, seed: int = 1, hazard: float = -5.0, weeks: int = WEEKS
) -> tuple[Dataset, pd.DataFrame]:
    """A dataset in which health moves week by week, and the true risk of each of its rows."""
    generator = np.random.default_rng(seed)
    health = np.zeros((accounts, weeks + 9))
    health[:, 0] = generator.normal(size=accounts)
    for week in range(1, weeks + 9):
        health[:, week] = 0.96 * health[:, week - 1] + 0.28 * generator.normal(size=accounts)
    chance = 1 / (1 + np.exp(-(hazard - 1.4 * health)))
    names = [f"a{number:03d}" for number in range(accounts)]
    rows = [(name, days_later(FIRST, -200), "start") for name in names]
    for number, name in enumerate(names):
        weeks_left = np.flatnonzero(generator.random(weeks + 9) < chance[number])
        if len(weeks_left):
            rows.append((name, days_later(FIRST, 7 * int(weeks_left[0]) + generator.uniform(0.1, 6.9)), "cancel"))
    cutoffs: list[datetime] = [days_later(FIRST, 7 * week) for week in range(weeks)]
    chosen = target("churn", Home(settings))
    labels = label(
        chosen, subscriptions(*rows), cutoffs, complete_until=days_later(FIRST, 7 * (weeks + 9)), settings=settings
    )
    week = ((labels.frame["cutoff"] - FIRST).dt.days // 7).to_numpy(dtype=int)
    number = labels.frame["account_id"].str[1:].astype(int).to_numpy()
    now = health[number, week]
    features = Home(settings).catalog.features_of_service(chosen.service)
    # Noise in every third feature, and in all others nothing to learn from: a booster's time goes by columns.
    read = [feature for feature in features if "booster" in feature.readers]
    noise = {feature.name: generator.normal(size=len(now)) for feature in read[::3]}
    joined = pd.DataFrame({feature.name: noise.get(feature.name, 0.0) for feature in features})
    joined["calls_28d"] = np.round(np.exp(4 + 0.8 * now + 0.3 * generator.normal(size=len(now))))
    joined["calls_7d"] = np.round(joined["calls_28d"] / 4)
    joined["calls_28d_vs_prior_28d"] = np.exp(0.3 * now + 0.2 * generator.normal(size=len(now)))
    joined["days_since_last_call"] = np.where(generator.random(len(now)) < 0.1, np.nan, np.exp(-0.7 * now))
    joined["plan"] = np.where(number % 7 == 0, None, np.where(number % 3 == 0, "pro: big", "basic"))
    joined["main_sdk_28d"] = np.where(number % 4 == 0, None, np.where(number % 2 == 0, "go", "python"))
    joined["narrow_use_28d"] = 1.0
    joined["active_tokens_28d"] = np.nan
    truth = labels.frame[["account_id", "cutoff"]].assign(churn_risk=1 - (1 - chance[number, week]) ** (30 / 7))
    return assemble(chosen, labels, joined, features), truth


MOST_ROUNDS = 200
PATIENCE = 30
BLOCKS = 2  # each is a training of its own
PRISTINE = "pristine"  # beside the registered home: as it was before any test wrote to it


@pytest.fixture(scope="session", autouse=True)
def _fewer_rounds() -> Iterator[None]:
    """The best number of rounds is looked for among 400; here it lies under 150, so fewer choose the same."""
    from training.models import model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_MOST_ROUNDS", MOST_ROUNDS)
        patch.setattr(model, "_PATIENCE", PATIENCE)
        yield


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a home nothing was written to."""
    return load_settings(home=tmp_path_factory.mktemp("plain"), judging_blocks=BLOCKS)


@pytest.fixture(scope="session")
def small_company(plain: Settings) -> tuple[Dataset, pd.DataFrame]:
    """Three hundred accounts, known truth."""
    return company(plain)


@dataclass(frozen=True)
class Registered:
    """A home with version 1 as challenger and no champion, and what the run that made it found on its way."""

    settings: Settings
    report: TrainReport
    judged: Judgement
    bundle: Bundle

    @property
    def home(self) -> Home:
        """The same as a home."""
        return Home(self.settings)


@pytest.fixture(scope="session")
def registered(small_company: tuple[Dataset, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """The small company's model, trained and registered; who writes to the home takes it back."""
    dataset, truth = small_company
    settings = load_settings(home=tmp_path_factory.mktemp("flow") / "home", judging_blocks=BLOCKS)
    found: dict[str, Any] = {}

    def noted(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            found[step.__name__] = step(*arguments, **options)
            return found[step.__name__]

        return run

    with pytest.MonkeyPatch.context() as patch:
        for step in (flow.fit_and_judge, flow.make_bundle):
            patch.setattr(flow, step.__name__, noted(step))
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        dataset = replace(dataset, excluded=(Excluded("2024-12-24", "2025-01-02", "holidays", 3),))
        report = flow.train_dataset(dataset, Home(settings), now=utc(2026, 1, 1), truth=truth)
        assert list(Path.cwd().iterdir()) == []  # no mlruns, no mlflow.db
    shutil.copytree(settings.home, settings.home.with_name(PRISTINE))
    assert found["fit_and_judge"].model.rounds < 0.75 * MOST_ROUNDS  # more would choose the same
    return Registered(settings, report, found["fit_and_judge"], found["make_bundle"])


@pytest.fixture(scope="session")
def judged(registered: Registered) -> Judgement:
    """The small company's model, judged."""
    return registered.judged


@pytest.fixture(scope="session")
def bundle(registered: Registered) -> Bundle:
    """The small company's bundle."""
    return registered.bundle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of its own."""
    return load_settings(home=tmp_path / "home")
