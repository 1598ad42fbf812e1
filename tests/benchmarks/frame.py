"""The training frame through our store against Feast's own DuckDB call on the same files."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.catalog import GROUPS, SERVICES, build_field, cutoff_day_field, features_of_group
from features.home.home import Home
from features.offline.files import ARROW_TYPES, file_schema
from features.settings.fields import Settings
from features.storage.lineage import Lineage
from features.storage.store import ManifestStore
from features.windows import cutoff_day
from tests.benchmarks.measure import alternating, cpu_ratio, middle
from tests.benchmarks.row import Row
from tests.benchmarks.traffic import cutoffs

ACCOUNTS, ENTITIES, ROUNDS = 10_000, 200_000, 5
SERVICE = "churn_v2"


def rows() -> Iterator[Row]:
    """Median of paired ratios, in alternation."""
    from features.feature_store.store import open_store

    with tempfile.TemporaryDirectory(prefix="bench-frame-") as folder:
        settings = Settings(home=Path(folder) / "home")
        write_features(settings)
        entities = sampled()
        store = open_store(Home(settings))
        store.apply()
        feast = feasts_own(settings)
        features = feast.get_feature_service(SERVICE)

        def bare() -> None:
            feast.get_historical_features(entity_df=entities, features=features).to_df()

        ratio, ours, theirs = alternating(lambda: store.historical(entities, service=SERVICE), bare, rounds=ROUNDS)
    yield Row(
        f"training frame, {ENTITIES:,} rows x {len(SERVICES[SERVICE])} features",
        f"{ratio:.2f} of Feast's own call ({middle(ours):.1f} s to {middle(theirs):.1f} s; CPU {cpu_ratio(ours, theirs):.2f})",
        "<= 1.2",
        ratio <= 1.2,
        {"ours": [asdict(cost) for cost in ours], "feast": [asdict(cost) for cost in theirs]},
    )


def write_features(settings: Settings) -> None:
    """Random features of every account at every cutoff, a tenth of them null."""
    dice = np.random.default_rng(7)
    accounts = [f"acct_{number:06}" for number in range(ACCOUNTS)]
    with ManifestStore(settings.home / "features").writer() as writer:
        for cutoff in cutoffs():
            for group in GROUPS:
                columns: dict[str, Any] = {
                    "account_id": accounts,
                    "event_timestamp": [cutoff] * ACCOUNTS,
                    cutoff_day_field(group): [cutoff_day(cutoff)] * ACCOUNTS,
                }
                for feature in features_of_group(group):
                    values = dice.random(ACCOUNTS) * 100
                    whole: Any = {"int": values.astype(int), "float": values}.get(
                        feature.kind, np.full(ACCOUNTS, "pro")
                    )
                    columns[feature.name] = pa.array(whole, ARROW_TYPES[feature.kind], mask=dice.random(ACCOUNTS) < 0.1)
                path = writer.scratch / f"{group}-{cutoff.date()}"
                pq.write_table(pa.table(columns, schema=file_schema(group)), path, compression="zstd")
                writer.replace(
                    f"{group}/cutoff={cutoff.date()}", {group: path}, lineage=Lineage(1, sources={"day=1": "bench"})
                )


def sampled() -> pd.DataFrame:
    """Account and cutoff, each pair once, in no order."""
    dice = np.random.default_rng(8)
    chosen = dice.permutation(ACCOUNTS * len(cutoffs()))[:ENTITIES]
    moments = pd.DatetimeIndex(cutoffs()).as_unit("us")
    return pd.DataFrame(
        {
            "account_id": [f"acct_{number:06}" for number in chosen % ACCOUNTS],
            "event_timestamp": moments[chosen // ACCOUNTS],
        }
    )


def feasts_own(settings: Settings) -> Any:
    """The same views in Feast's unchanged DuckDB store, reading the files by a pattern."""
    from feast import FeatureService, FeatureStore, FeatureView, FileSource

    from features.feature_store.views import feature_objects, repo_config

    folder = settings.home / "feasts-own"
    folder.mkdir()
    given = repo_config(Home(settings)).model_dump(exclude_unset=True, by_alias=True)
    config = type(repo_config(Home(settings)))(
        **{
            **{name: given[name] for name in ("project", "provider", "entity_key_serialization_version")},
            "registry": {"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
            "offline_store": {"type": "duckdb"},
            "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
            "repo_path": folder,
        }
    )
    objects = feature_objects(Home(settings))
    views = {}
    for view in (item for item in objects if isinstance(item, FeatureView)):
        source = FileSource(
            name=f"{view.name}_own",
            path=str(settings.home / "features" / view.name / "*" / "*.parquet"),
            timestamp_field="event_timestamp",
        )
        views[view.name] = FeatureView(
            name=view.name, entities=[objects[0]], ttl=view.ttl, schema=view.schema, source=source
        )
    named = next(item for item in objects if isinstance(item, FeatureService) and item.name == SERVICE)
    chosen = [
        views[part.name][[field.name for field in part.features if field.name != build_field(part.name)]]  # in no file
        for part in named.feature_view_projections
    ]
    store = FeatureStore(config=config)
    store.apply([objects[0], *views.values(), FeatureService(name=SERVICE, features=chosen)])
    return store
