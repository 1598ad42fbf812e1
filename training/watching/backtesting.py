"""The backtest of a registered model: its kept out-of-time scores beside what became of the accounts."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from features.exceptions import WorkFailedError
from features.home.home import Home
from features.home.raw_tables import read_records
from features.schema import ACCOUNTS
from training.judging.backtest import Backtest, look_back
from training.judging.evaluate import CAPACITY_SHARE
from training.labels.dataset import closed_labels
from training.labels.targets import Target, target
from training.models import bundle as bundles
from training.models.out_of_time import out_of_time
from training.registry.champions import Champion, registered

__all__ = ["Backtested", "backtest"]


@dataclass(frozen=True)
class Backtested:
    """The backtest of one version, the rule in words where it is one, and the scores it is made of."""

    target: Target
    model: Champion
    scores: pd.DataFrame
    backtest: Backtest
    rule: str | None = None


def backtest(home: Home, target_name: str, *, version: str | None = None) -> Backtested:
    """Look back at what a version foretold out of time: the one asked for, else the champion, else the challenger.

    Raises
    ------
    InputError
        When there is no such target or version.
    DependencyError
        When nothing was ever registered.
    BundleError
        When the bundle is not the one that was registered.
    WorkFailedError
        When the version was registered before such scores were kept, or no label of theirs is left.
    """
    aim = target(target_name, home)
    model = registered(home, target_name, version=version)
    scores = out_of_time(model.bundle_folder, sha256=model.sha256)
    if scores is None:
        raise WorkFailedError(
            f"{model.name} version {model.version} was registered by a version of Bellwether that kept no out-of-time "
            f"scores. Run `bellwether train --target {target_name}`; it keeps them."
        )
    labels = closed_labels(home, aim).frame
    past = look_back(scores, labels, capacity_share=CAPACITY_SHARE, names=_names(home))
    if not past.months:
        raise WorkFailedError(
            f"None of the {len(scores):,} scores kept with {model.name} version {model.version} has a label in this "
            "home any more. Build the features of their cutoffs again, or train again."
        )
    rule = bundles.read(model.bundle_folder, sha256=model.sha256).rule
    return Backtested(aim, model, scores, past, None if rule is None else rule.title)


def _names(home: Home) -> Mapping[str, str | None]:
    """Account to its newest name."""
    records: pd.DataFrame = read_records(home, ACCOUNTS).to_pandas()
    newest = records.sort_values("known_at", kind="stable").drop_duplicates("account_id", keep="last")
    pairs = newest[["account_id", "name"]].itertuples(index=False)
    return {account: name if isinstance(name, str) else None for account, name in pairs}
