"""Feature files of a handful of accounts, with random values of the catalogue's kinds."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.build.build import build
from features.definitions.catalog import GROUPS, cutoff_day_field, features_of_group
from features.definitions.feature import FeatureSpec
from features.home.home import Home
from features.offline.files import group_at
from features.offline.lineage import feature_lineage
from features.rollup.count import roll_up
from features.schema import RAW_TABLES
from features.settings.fields import Settings
from features.storage.store import ManifestStore, StoreWriter
from features.windows import DAY, as_cutoff, cutoff_day

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
    lineage_of = feature_lineage(Home(Settings(home=home)))
    with ManifestStore(home / "features").writer() as writer:
        for date, accounts in accounts_of.items():
            for group in groups:
                staged = writer.scratch / f"{group}-{date}.parquet"
                pq.write_table(_rows(group, as_cutoff(date), accounts, seed), staged)
                lineage = lineage_of(group, as_cutoff(date), {"day=1": "test"})
                writer.replace(f"{group}/cutoff={date}", {group: staged}, lineage=lineage)


@pytest.fixture(scope="session")
def write_features() -> Callable[..., None]:
    """The writer above, for tests that need files of their own."""
    return write_feature_files


class Log:
    """A log you can write by hand: raw tables straight into the stores, features out by roll_up and build."""

    def __init__(self, home: Path, *, builds: Sequence[str] | None = None, **settings: Any) -> None:
        self.settings = Settings(home=home, **settings)
        self._builds = builds
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in RAW_TABLES}

    @property
    def home(self) -> Home:
        """The same as a home."""
        return Home(self.settings)

    def add(self, table: str, *rows: Mapping[str, Any]) -> Log:
        """Add rows to a raw table; an event is ingested when it happens and belongs to account a unless it says so."""
        defaults: dict[str, Any] = {"account_id": "a"}
        if table == "events":
            defaults |= {"endpoint": "/v1/orders", "method": "GET", "status": 200, "synthetic": False}
        for row in rows:
            full = dict.fromkeys(RAW_TABLES[table].schema.names) | defaults | dict(row)
            if table == "events":
                full["ingested_at"] = full["ingested_at"] or full["event_time"]
            if "occurred_at" in full:
                full["known_at"] = full["known_at"] or full["occurred_at"]
            self._rows[table].append(full)
        return self

    def copy_to(self, home: Path) -> Log:
        """The same log in another home, with all that was built of it."""
        shutil.copytree(self.settings.home, home)
        other = Log(home, builds=self._builds)
        other.settings = self.settings.model_copy(update={"home": home})
        other._rows = {name: list(rows) for name, rows in self._rows.items()}
        return other

    def clear(self, table: str) -> Log:
        """Forget the rows of a raw table; the next rows are all it holds."""
        self._rows[table].clear()
        return self

    def store(self) -> None:
        """Write every raw table into its store."""
        days: dict[str, list[dict[str, Any]]] = {}
        for row in self._rows["events"]:
            days.setdefault(f"day={row['event_time'].date().isoformat()}", []).append(row)
        with ManifestStore(self.settings.home / "events").writer() as writer:
            for day in set(writer.partitions) - set(days):
                writer.remove(day)
            for day, rows in days.items():
                self._stage(writer, day, "events", rows)
        with ManifestStore(self.settings.home / "raw").writer() as writer:
            for name in ("accounts", "subscriptions", "touchpoints"):
                if self._rows[name]:
                    self._stage(writer, name, name, self._rows[name])

    def _stage(self, writer: StoreWriter, partition: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        staged = writer.scratch / f"{partition}.{name}"
        pq.write_table(pa.Table.from_pylist(list(rows), RAW_TABLES[name].schema), staged)
        writer.replace(partition, {name: staged})

    def table(self, *cutoffs: datetime) -> dict[tuple[str, datetime], dict[str, Any]]:
        """Every feature by (account, cutoff), by the way everybody goes: store, roll up, build, read."""
        self.store()
        roll_up(self.home)
        build(self.home, cutoffs, now=max(cutoffs) + 9 * DAY, groups=self._builds)
        store = ManifestStore(self.settings.home / "features")
        found: dict[tuple[str, datetime], dict[str, Any]] = {}
        for cutoff in cutoffs:
            for group in self._builds or self.home.catalog.described_groups:
                for path in store.files(f"{group}/cutoff={cutoff.date()}", group):
                    for row in pq.read_table(path, partitioning=None).to_pylist():
                        found.setdefault((row["account_id"], row["event_timestamp"]), {}).update(row)
        return found

    def declared(self, *cutoffs: datetime) -> dict[tuple[str, datetime], dict[str, Any]]:
        """The declared features alone, by the same way."""
        self.store()
        roll_up(self.home)
        catalog = self.home.catalog
        view = catalog.described_groups[-1]
        build(self.home, cutoffs, now=max(cutoffs) + 9 * DAY, groups=[view])
        folder = self.settings.home / "features"
        return {
            (row["account_id"], cutoff): row
            for cutoff in cutoffs
            for row in group_at(ManifestStore(folder), view, cutoff, catalog).to_pylist()
        }

    def at(self, cutoff: datetime, account: str = "a") -> dict[str, Any]:
        """The features of one account at one cutoff."""
        return self.table(cutoff)[account, cutoff]


@pytest.fixture(scope="module")
def builds(request: pytest.FixtureRequest) -> Sequence[str] | None:
    """The groups a log builds: those the module calls its ``BUILDS``, else all."""
    return getattr(request.module, "BUILDS", None)


@pytest.fixture
def log(tmp_path: Path, builds: Sequence[str] | None) -> Log:
    """An empty log in a home of its own."""
    return Log(tmp_path / "home", builds=builds)


@pytest.fixture
def new_log(tmp_path: Path, builds: Sequence[str] | None) -> Callable[..., Log]:
    """Makes empty logs, each in a home of its own, with settings."""
    numbers = itertools.count()
    return lambda **settings: Log(tmp_path / f"home-{next(numbers)}", builds=builds, **settings)
