"""A home of forty accounts with a real feature store, a real registered champion and known odd accounts."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.catalog import BUILT_IN, CATALOG, GROUPS, NEWEST_SERVICE, cutoff_day_field, features_of_group
from features.definitions.feature import FeatureSpec
from features.definitions.sets import FeatureSet, catalog_with
from features.home.home import Home
from features.offline.lineage import feature_lineage
from features.schema import ACCOUNTS, SUBSCRIPTIONS, RawTable
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.store import ManifestStore
from features.windows import cutoff_day, utc
from tests.shared import linked, made_once
from training.models.bands import BandRate
from training.models.bundle import Bundle, Calibration, Column, Golden, Verdict, write
from training.models.matrix import design_matrix
from training.models.rule import CountingRule, fit_rule
from training.models.scorecard import fit_scorecard
from training.models.stack import Stack
from training.registry.champions import Champion

if TYPE_CHECKING:
    from tests.serving.server import Running

CUTOFF = utc(2026, 6, 29)
NOW = utc(2026, 6, 29, 12)
PLANS = ("free", "pro", "team")
USUAL = tuple(f"acct_{number:03}" for number in range(36))
ODD = ("cancelled", "never_called", "too_new", "unsubscribed")
EVERYBODY = (*USUAL, *ODD)
BARE_KEY = "a-long-secret"
BARE_CONNECTIONS = 8


@dataclass(frozen=True)
class Place:
    """A home at rest, with a champion and a challenger."""

    settings: Settings
    champion_sha256: str
    challenger_sha256: str

    @property
    def home(self) -> Home:
        """The same as a home."""
        return Home(self.settings)

    def copy_to(self, home: Path) -> Place:
        """The same in another folder."""
        linked(self.settings.home, home)
        return replace(self, settings=self.settings.model_copy(update={"home": home}))


def _value(feature: FeatureSpec, dice: random.Random) -> Any:
    if dice.random() < 0.1 and "null" in feature.null_rule and not feature.null_rule.startswith("never"):
        return None
    scale = {"share": 1.0, "ratio": 2.0, "log calls per week": 0.3, "ms": 2000.0, "times": 4.0}
    match feature.kind:
        case "category":
            return dice.choice(PLANS)
        case "int":
            return int(dice.expovariate(1 / (300 if feature.unit == "calls" else 8)))
        case _:
            return dice.random() * scale.get(feature.unit, 60.0)


def random_rows(rows: int, *, seed: int, features: Sequence[FeatureSpec] = CATALOG) -> dict[str, Any]:
    """Feature columns as the store gives them: float64 with nan, objects with None."""
    dice = random.Random(seed)
    columns = {feature.name: [_value(feature, dice) for _ in range(rows)] for feature in features}
    return {
        feature.name: np.array(columns[feature.name], dtype=object if feature.kind == "category" else np.float64)
        for feature in features
    }


def make_bundle(
    *, seed: int = 1, rows: int = 600, service: str = "churn_v2", declared: FeatureSet | None = None
) -> Bundle:
    """A small real model: silence and falling calls raise the risk, and what is declared does so by a lot."""
    import lightgbm as lgb

    own = declared or FeatureSet()
    catalog = catalog_with(own)
    service = catalog.newest.get(NEWEST_SERVICE, service)  # what is declared is read beside the newest
    columns = random_rows(rows, seed=seed, features=catalog.features)
    read = catalog.features_of_service(service)
    numeric = [feature for feature in read if feature.kind != "category"]
    layout = (
        *(Column(feature.name, feature.name) for feature in numeric),
        *(Column(f"plan__{plan}", "plan", plan) for plan in PLANS),
        Column("plan__other", "plan", "(other)"),
    )
    matrix = design_matrix(layout, columns)
    silence, trend = np.nan_to_num(columns["days_since_last_call"]), np.nan_to_num(columns["calls_28d_vs_prior_28d"])
    dice = np.random.default_rng(seed)
    risk = silence / 20 - trend + (columns["plan"] == "free") + dice.normal(0, 0.5, rows)
    for feature in own.features:
        risk += 9 * np.nan_to_num(columns[feature.name])
    label = (risk > (1.2 if not own else np.median(risk))).astype(float)
    booster = lgb.train(
        {
            "objective": "binary",
            "num_leaves": 8,
            "verbosity": -1,
            "seed": seed,
            "num_threads": 1,
            "deterministic": True,
        },
        lgb.Dataset(matrix, label, feature_name=[column.name for column in layout]),
        num_boost_round=40,
    )
    golden = {name: values[:4] for name, values in columns.items()}
    margins = booster.predict(design_matrix(layout, golden), raw_score=True)
    return Bundle(
        target="churn",
        title="cancellation or expiry of the subscription",
        service=service,
        horizon_days=30,
        lead_days=7,
        features=tuple(feature.name for feature in read),
        kinds={feature.name: feature.kind for feature in read},
        vocabularies={"plan": PLANS},
        columns=layout,
        left_out={},
        bands={"high": 0.8, "medium": 0.4},
        band_rates={band: BandRate(264, 90, 1 / 6, 0.124, 0.214) for band in ("high", "medium", "low")},
        calibration=Calibration("platt", 0.9, -0.1),
        statistics={},
        golden=Golden(
            {name: tuple(_plain(value) for value in values) for name, values in golden.items()},
            tuple(float(value) for value in margins),
        ),
        spans={"fitting": ("2026-01-05", "2026-03-30")},
        metrics={"roc_auc": 0.8},
        comparisons=(),
        verdict=Verdict("passes", "Made for tests."),
        recipe={"num_leaves": 8.0},
        rounds=40,
        fingerprint=f"{seed:064x}",
        versions={"python": "3.11"},
        commit=None,
        model_text=booster.model_to_string(),
        declared=own.as_json,
    )


def with_scorecard(bundle: Bundle) -> Bundle:
    """The same model with a scorecard beside its trees."""
    features = BUILT_IN.features_of_service(bundle.service)
    frame = pd.DataFrame(random_rows(300, seed=3, features=features))
    frame["label"] = (frame["calls_28d"].rank() < frame["active_days_91d"].rank()).astype(float)
    scorecard = fit_scorecard(frame, features, target=bundle.target)
    stack = Stack(0.7, 0.5, -0.25, (0.5, 0.2, 0.9))
    margins = stack.margin(np.array(bundle.golden.margins), scorecard.margin(bundle.golden.features))
    golden = replace(bundle.golden, margins=tuple(margins.tolist()))
    return replace(bundle, stack=stack, scorecard=scorecard, golden=golden)


def as_rule(bundle: Bundle, *, rows: int = 600) -> Bundle:
    """The rule "days since the last call" of the same service, learnt of rows whose silence raises the risk."""
    feature = BUILT_IN.spec("days_since_last_call")
    columns = random_rows(rows, seed=2, features=BUILT_IN.features_of_service(bundle.service))
    frame = pd.DataFrame({feature.name: columns[feature.name]})
    frame["label"] = (np.arange(rows) % 40 < np.nan_to_num(frame[feature.name])).astype(float)
    rule = fit_rule(frame, CountingRule("days since the last call", feature), target=bundle.target)
    golden = {feature.name: (0.0, 8.0, None)}
    return replace(
        bundle,
        features=(feature.name,),
        kinds={feature.name: feature.kind},
        vocabularies={},
        columns=(Column(feature.name, feature.name),),
        golden=Golden(golden, tuple(rule.margin(golden).tolist())),
        verdict=Verdict("not_shown", 'It is the rule "days since the last call".'),
        recipe={},
        rounds=0,
        model_text="",
        rule=rule,
    )


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value


def write_raw(settings: Settings, table: RawTable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make ``rows`` the whole of one record table; columns that are not given are null."""
    filled = [{name: row.get(name) for name in table.schema.names} for row in rows]
    with ManifestStore(settings.home / "raw").writer() as writer:
        staged = writer.scratch / table.name
        pq.write_table(pa.Table.from_pylist(filled, schema=table.schema), staged)
        writer.replace(table.name, {table.name: staged})


def write_features(settings: Settings, columns: Mapping[str, Any], accounts: Sequence[str]) -> None:
    """Feature files of one cutoff."""
    types = {"float": pa.float64(), "int": pa.int64(), "category": pa.string()}
    lineage_of = feature_lineage(Home(settings))
    with ManifestStore(settings.home / "features").writer() as writer:
        for group in GROUPS:
            table: dict[str, Any] = {
                "account_id": pa.array(accounts, pa.string()),
                "event_timestamp": pa.array([CUTOFF] * len(accounts), pa.timestamp("us", tz="UTC")),
                cutoff_day_field(group): pa.array([cutoff_day(CUTOFF)] * len(accounts), pa.int64()),
            }
            for feature in features_of_group(group):
                values = [_plain(value) for value in columns[feature.name].tolist()]
                table[feature.name] = pa.array(values, pa.float64() if feature.kind == "int" else types[feature.kind])
                if feature.kind == "int":
                    table[feature.name] = table[feature.name].cast(pa.int64())
            staged = writer.scratch / group
            pq.write_table(pa.table(table), staged)
            lineage = lineage_of(group, CUTOFF, {"day=1": "test"})
            writer.replace(f"{group}/cutoff={CUTOFF:%Y-%m-%d}", {group: staged}, lineage=lineage)


def write_records(settings: Settings) -> None:
    """Accounts and subscriptions: everybody subscribed, but the odd ones."""
    began, lately = utc(2025, 6, 1), utc(2026, 6, 20)
    rows = [
        {"account_id": account, "occurred_at": began, "known_at": began, "kind": "start", "plan": "pro", "mrr": 90.0}
        for account in (*USUAL, "cancelled", "never_called")
    ]
    rows.append({**rows[0], "account_id": "too_new", "occurred_at": lately, "known_at": lately})
    rows.append({**rows[0], "account_id": "cancelled", "occurred_at": lately, "known_at": lately, "kind": "cancel"})
    write_raw(settings, SUBSCRIPTIONS, [{**row, "source_order": place} for place, row in enumerate(rows)])
    people = [
        {
            "account_id": account,
            "name": f"The {account} company",
            "owner": ("sam", "kim")[place % 2],
            "segment": ("small", "large")[place % 3 == 0],
            "created_at": began,
            "known_at": began,
        }
        for place, account in enumerate(USUAL)
    ]
    write_raw(settings, ACCOUNTS, people)


def world_columns() -> dict[str, Any]:
    """Features of everybody; one account has never called."""
    columns = random_rows(len(EVERYBODY), seed=5)
    columns["days_since_last_call"] = np.nan_to_num(columns["days_since_last_call"], nan=3.0)
    columns["days_since_last_call"][EVERYBODY.index("never_called")] = np.nan
    columns["mrr"] = np.nan_to_num(columns["mrr"], nan=50.0)
    return columns


def register_bundle(
    settings: Settings, bundle: Bundle, scratch: Path, *, rule: Bundle | None = None
) -> tuple[str, str]:
    """Register a bundle by the real registry, with the rule that may answer in its place; its SHA-256 and version."""
    from training.registry.registry import TrainedRule, TrainingRun, register

    folder = scratch / f"bundle-{bundle.fingerprint[-4:]}"
    sha256 = write(bundle, folder)
    pictures = scratch / "pictures"
    pictures.mkdir(exist_ok=True)
    (pictures / "card.md").write_text("A model for tests.\n")
    example = pd.DataFrame([[0.5] * len(bundle.columns)] * 2, columns=[column.name for column in bundle.columns])
    run = TrainingRun(
        bundle.target, bundle, folder, sha256, pictures, example, {"rounds": bundle.rounds}, ("lightgbm",)
    )
    if rule is not None:
        beside = scratch / "rule"
        trained = TrainedRule("days since the last call", beside, write(rule, beside / "bundle"))
        (beside / "model_card.md").write_text("A rule for tests.\n")
        run = replace(run, rule=trained)
    return sha256, register(Home(settings), run)


@pytest.fixture(autouse=True)
def _no_exit_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test only pretends that this process becomes the service, what is to run at its end waits for its end."""
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: None)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """A small real model."""
    return make_bundle()


@pytest.fixture(scope="session")
def rows() -> Callable[..., dict[str, Any]]:
    """Maker of random feature columns."""
    return random_rows


@pytest.fixture
def champion_of(tmp_path: Path) -> Callable[[Bundle], Champion]:
    """A bundle on disk as the registry would hand it out."""

    def made(bundle: Bundle, version: str = "1") -> Champion:
        folder = tmp_path / f"bundle-{version}"
        return Champion("bellwether-churn", version, folder, write(bundle, folder))

    return made


def _settings(root: Path) -> Settings:
    return load_settings(home=root / "home", stale_after_hours=1e6)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Place:
    """The home, materialized, version 1 champion, version 2 registered; nothing scored. Do not write to it."""
    from features.feature_store.store import open_store
    from training.registry.promotion import promote

    def make(root: Path) -> None:
        settings = _settings(root)
        write_features(settings, world_columns(), EVERYBODY)
        write_records(settings)
        store = open_store(Home(settings))
        store.apply()
        store.materialize(CUTOFF)
        first, version = register_bundle(settings, bundle, root)
        promote(Home(settings), "churn", version=version)
        second, _ = register_bundle(settings, make_bundle(seed=2), root)
        (root / "sha256.json").write_text(json.dumps([first, second]))

    root = made_once(tmp_path_factory, "place", make)
    return Place(_settings(root), *json.loads((root / "sha256.json").read_text()))


@pytest.fixture
def copied(place: Place, tmp_path: Path) -> Place:
    """The same home, for a test that writes."""
    return place.copy_to(tmp_path / "home")


@contextmanager
def _serving(place: Place, root: Path, *, workers: int) -> Iterator[Running]:
    """A server on a copy of the home, with one score run in its ledger."""
    from serving.routine.batch import score_batch
    from tests.serving.server import running

    copy = place.copy_to(root / "home")
    score_batch(copy.home, now=NOW)
    with running(copy, root / "log.txt", workers=workers) as found:
        found.wait_for(lambda: found.get("/readyz").status_code == 200)
        yield found


@pytest.fixture(scope="session")
def server(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of one worker."""
    with _serving(place, tmp_path_factory.mktemp("server"), workers=1) as found:
        yield found


@pytest.fixture(scope="session")
def two_workers(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of two workers."""
    with _serving(place, tmp_path_factory.mktemp("two"), workers=2) as found:
        yield found


@pytest.fixture(scope="session")
def bare(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a key, a feature store and no model, of little patience and few connections."""
    from tests.serving.server import running

    root = tmp_path_factory.mktemp("bare")
    copy = place.copy_to(root / "home")
    shutil.rmtree(copy.settings.home / "mlflow")
    environment = {
        "BELLWETHER_API_KEYS": hashlib.sha256(BARE_KEY.encode()).hexdigest(),
        "BELLWETHER_HEADER_SECONDS": "1",
        "BELLWETHER_IDLE_SECONDS": "1",
        "BELLWETHER_CONNECTIONS": str(BARE_CONNECTIONS),
    }
    (root / "passing").mkdir()
    with running(copy, root / "log.txt", TMPDIR=str(root / "passing"), **environment) as found:
        yield found
    assert list((root / "passing").iterdir()) == []
    # Until its end, and in the process that ends the workers too.
    assert all(json.loads(line)["time"] for line in (root / "log.txt").read_text().splitlines())
