"""The whole report: a sound home finds nothing, a home broken in many ways finds each, and how the command leaves."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import serving.cli
from features.definitions.catalog import GROUPS, features_of_group
from features.home.home import Home
from features.offline.files import group_at
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from serving.quality import PARTS, check_features, finding_rows, quality_json, summary
from tests.features.conftest import Log
from tests.serving.conftest import make_bundle
from tests.shared import overwrite
from training.models.bundle import write
from training.registry.champions import Champion
from training.watching.drift import baseline_of

pytestmark = pytest.mark.slow

CUTOFF = utc(2026, 6, 29)
NOW = CUTOFF + timedelta(hours=12)
ACCOUNTS = tuple(f"acct_{number:02}" for number in range(40))


def calls(number: int, account: str) -> Iterator[dict[str, Any]]:
    """What an account did in five weeks: one to five calls a day, every tenth of them failed."""
    for age, call in itertools.product(range(1, 36), range(1 + number % 5)):
        yield {
            "account_id": account,
            "event_time": CUTOFF - age * DAY + timedelta(hours=9, minutes=10 * call),
            "status": 500 if (age + call + number) % 10 == 0 else 200,
            "latency_ms": 40.0 + 5 * number + call,
            "endpoint": f"/v1/{'abcdef'[(number + call) % 6]}",
            "token": f"token-{account}-{call % 2}",
            "user_id": f"user-{account}-{call % 3}",
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Champion]:
    """Forty accounts at two cutoffs, and a champion whose baseline is what they are. Do not write to it."""
    root = tmp_path_factory.mktemp("sound")
    log = Log(root / "home")
    began = CUTOFF - 100 * DAY
    for number, account in enumerate(ACCOUNTS):
        log.add("events", *calls(number, account))
        log.add("accounts", {"account_id": account, "created_at": began, "known_at": began})
        plan = ("free", "pro")[number % 2]
        sold = {"account_id": account, "occurred_at": began, "kind": "start", "plan": plan, "mrr": 9.0}
        log.add("subscriptions", sold | {"source_order": number})
    log.table(CUTOFF - 7 * DAY, CUTOFF)
    statistics = {
        feature.name: baseline_of(frame[feature.name], feature.kind)
        for group in GROUPS
        for frame in [group_at(ManifestStore(log.settings.home / "features"), group, CUTOFF).to_pandas()]
        for feature in features_of_group(group)
    }
    bundle = replace(make_bundle(rows=300), statistics=statistics, spans={"registered": ("2026-05-25", "2026-06-22")})
    return log.settings, Champion("bellwether-churn", "1", root / "bundle", write(bundle, root / "bundle"))


@pytest.fixture
def sound(whole: tuple[Settings, Champion], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The home, with its champion in place of a registry. Do not write to it."""
    settings, champion = whole
    monkeypatch.setattr("training.watching.quality.champion_version", lambda _, name: "1" if name == "churn" else None)
    monkeypatch.setattr("training.watching.quality.champion", lambda _, name: champion)
    return settings


@pytest.fixture
def own(sound: Settings, tmp_path: Path) -> Settings:
    """The same, for a test that writes."""
    return sound.model_copy(update={"home": Path(shutil.copytree(sound.home, tmp_path / "home"))})


def change(settings: Settings, group: str, name: str, values: list[object]) -> None:
    """Replace a feature's first values at the newest cutoff."""
    store = ManifestStore(settings.home / "features")
    partition = f"{group}/cutoff={CUTOFF:%Y-%m-%d}"
    (path,) = store.files(partition)
    table = pq.read_table(path, partitioning=None)
    place = table.column_names.index(name)
    column = pa.array([*values, *table[name].to_pylist()[len(values) :]], table.schema.field(name).type)
    with store.writer() as writer:
        pq.write_table(table.set_column(place, name, column), writer.scratch / group)
        writer.replace(partition, {group: writer.scratch / group}, lineage=writer.lineage[partition])


def drop_accounts(settings: Settings) -> None:
    """Leave the first half of the accounts out of the account table."""
    store = ManifestStore(settings.home / "raw")
    (path,) = store.files("accounts", "accounts")
    table = pq.read_table(path, partitioning=None)
    with store.writer() as writer:
        half = table.filter(pc.greater_equal(table["account_id"], "acct_20"))
        pq.write_table(half, writer.scratch / "accounts")
        writer.replace("accounts", {"accounts": writer.scratch / "accounts"})


def test_a_sound_home_finds_nothing(sound: Settings) -> None:
    report = check_features(Home(sound), now=NOW)
    assert finding_rows(report) == []
    assert summary(report) == "Nothing to look at in the features of 2026-06-29."
    said = quality_json(report)
    assert list(said["parts"]) == [part.name for part in PARTS]
    assert all(said["parts"][name]["rows"] for name in ("freshness", "lateness", "matching", "rows", "values", "shift"))


def test_every_planted_fault_is_found_wrong_before_remarks(own: Settings) -> None:
    change(own, "errors", "error_rate_28d", [7.0])
    change(own, "usage", "calls_7d", [None, None])
    change(own, "latency", "latency_p50_ms_28d", [1e5] * 40)
    change(own, "commercial", "plan", ["mystery"])
    drop_accounts(own)
    report = check_features(Home(own), now=NOW + 9 * DAY)
    assert [(row["is"], row["part"], row["finding"].split(":")[0].split(" (")[0]) for row in finding_rows(report)] == [
        ("WRONG", "freshness", "events end 242 hours ago, at 2026-06-28 09"),
        ("WRONG", "matching", "accounts lack 20 of the 40 accounts that call"),
        ("WRONG", "values", "calls_7d is null for 2 of 40 accounts, against its rule"),
        ("WRONG", "values", "error_rate_28d is not within 0 to 1 for 1 account"),
        ("remark", "shift", "1 feature is spread otherwise than in the fitting of churn version 1"),
        ("remark", "shift", "plan has values that were not there in the fitting of churn version 1"),
    ]
    assert report.wrong == ["freshness", "matching", "values"]
    assert (
        summary(report) == "6 things to look at in the features of 2026-06-29: 4 wrong (freshness, matching, values)."
    )


def test_a_damaged_file_is_a_finding_and_the_rest_is_told(own: Settings) -> None:
    (path,) = ManifestStore(own.home / "features").files(f"errors/cutoff={CUTOFF:%Y-%m-%d}")
    overwrite(path, b"no parquet")
    report = check_features(Home(own), now=NOW)
    assert report.wrong == ["rows", "values", "shift"]
    assert "could not be looked at" in report.findings[0][1].what
    assert len(dict(report.sections)[PARTS[0]].rows) == 4


def test_the_command_prints_writes_and_leaves(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(home: Path, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            serving.cli.main.main(["--home", str(home), "features", "check", *arguments])
        return int(left.value.code or 0), *capsys.readouterr()

    monkeypatch.setattr(serving.cli, "_now", lambda: NOW)
    file = tmp_path / "quality.json"
    code, out, err = run(own.home, "--json", str(file))
    assert (code, out.splitlines()[0]) == (0, "Nothing to look at in the features of 2026-06-29.")
    assert "look at every part" in err
    assert json.loads(file.read_text())["is_wrong"] is False

    drop_accounts(own)
    code, out, err = run(own.home)
    assert code == 1
    assert out.startswith("1 thing to look at in the features of 2026-06-29: 1 wrong (matching).\n")
    assert err.endswith("Wrong: matching.\n")

    code, out, err = run(own.home, "--as-of", "2026-06-27")
    assert (code, out) == (2, "")
    assert "The cutoff 2026-06-27 is not built. Built, newest first: 2026-06-29, 2026-06-22." in err
    code, _, err = run(tmp_path / "nothing")
    assert code == 2
    assert "There is no home" in err
    (tmp_path / "begun" / "events").mkdir(parents=True)
    code, _, err = run(tmp_path / "begun")
    assert code == 2
    assert "No cutoff is built yet. Run `bellwether features build` first." in err
    code, _, err = run(own.home, "--json", str(tmp_path / "away" / "quality.json"))
    assert code == 2
    assert "there is no folder" in err
    assert "look at every part" not in err  # said before the work
    code, _, err = run(own.home, "--json", str(tmp_path))
    assert (code, "it is a folder" in err) == (2, True)
