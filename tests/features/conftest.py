"""Feature files of a handful of accounts, with random values of the catalogue's kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalog import GROUPS, FeatureSpec, cutoff_day_field, features_of_group
from features.manifest import ManifestStore
from features.windows import as_cutoff, cutoff_day

ARROW_TYPES = {"float": pa.float64(), "int": pa.int64(), "category": pa.string()}


def _value(feature: FeatureSpec, dice: random.Random) -> Any:
    if dice.random() < 0.1 and not feature.null_rule.startswith("never null"):
        return None
    return {"float": dice.expovariate(0.1), "int": dice.randrange(10**6), "category": dice.choice("abc")}[feature.kind]


def _rows(group: str, cutoff: datetime, accounts: Sequence[str], seed: int) -> pa.Table:
    dice = random.Random(f"{seed}-{group}-{cutoff}")
    features = features_of_group(group)
    columns: dict[str, Any] = {
        "account_id": pa.array(accounts, pa.string()),
        "event_timestamp": pa.array([cutoff] * len(accounts), pa.timestamp("us", tz="UTC")),
        cutoff_day_field(group): pa.array([cutoff_day(cutoff)] * len(accounts), pa.int64()),
    }
    for feature in features:
        columns[feature.name] = pa.array([_value(feature, dice) for _ in accounts], ARROW_TYPES[feature.kind])
    return pa.table(columns)


def write_feature_files(
    home: Path, accounts_of: Mapping[str, Sequence[str]], *, groups: Sequence[str] = GROUPS, seed: int = 0
) -> None:
    """Write the feature files of a home: cutoff (a date) to its accounts."""
    with ManifestStore(home / "features").writer() as writer:
        for date, accounts in accounts_of.items():
            for group in groups:
                staged = writer.scratch / f"{group}-{date}.parquet"
                pq.write_table(_rows(group, as_cutoff(date), accounts, seed), staged)
                writer.replace(f"{group}/cutoff={date}", {group: staged}, made_from="test")


@pytest.fixture(scope="session")
def write_features() -> Callable[..., None]:
    """The writer above, for tests that need files of their own."""
    return write_feature_files
