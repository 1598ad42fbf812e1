"""What a demonstration may remove before it begins afresh: what it made itself, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.exceptions import InputError
from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.state_file import recall, remember
from features.windows import DAY, utc
from serving.demo import _lines, run_demo
from training.models.bundle import Verdict
from training.registry.promotion import PromoteReport

NOW = utc(2026, 7, 1, 12)


class _BeganError(Exception):
    """Raised in place of the simulation."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home in which a demonstration has put its data; what comes after the ingest is left out."""
    settings = load_settings(home=tmp_path / "home")

    def began(*_: object, **__: object) -> None:
        raise _BeganError

    monkeypatch.setattr("serving.demo.simulate", lambda *_, **__: None)
    monkeypatch.setattr("serving.demo.ingest", lambda *_, **__: put(settings, "day=2026-06-30", 1))
    monkeypatch.setattr("serving.demo.roll_up", began)
    demo(settings)
    return settings


def demo(settings: Settings, *, days_later: int = 0) -> None:
    with pytest.raises(_BeganError):
        run_demo(Home(settings), accounts=10, days=30, seed=1, now=NOW + days_later * DAY)


def put(settings: Settings, day: str, value: int, *, in_raw: bool = False) -> None:
    stores = Home(settings).stores
    with (stores.raw if in_raw else stores.events).writer() as writer:
        path = writer.scratch / "rows"
        pq.write_table(pa.table({"a": [value]}), path)
        writer.replace(day, {"events": path})


def test_on_another_day_it_begins_afresh(settings: Settings) -> None:
    (settings.home / "nightly").mkdir()
    remember(settings.home / "nightly/online.json", {"cutoff": "2026-06-30"})
    demo(settings, days_later=1)
    assert not (settings.home / "nightly").exists()
    assert recall(settings.home / "demo/company.json")["company"]["end"].startswith("2026-07-02")


@pytest.mark.parametrize("in_raw", [False, True])
def test_what_was_ingested_since_is_kept(settings: Settings, *, in_raw: bool) -> None:
    put(settings, "mine", 2, in_raw=in_raw)
    demo(settings)  # the same demonstration again removes nothing, and does not take my rows for its own
    with pytest.raises(InputError, match=r"holds more than an earlier demonstration put there.*--home DIR demo"):
        run_demo(Home(settings), accounts=10, days=30, seed=1, now=NOW + DAY)
    stores = Home(settings).stores
    assert (stores.raw if in_raw else stores.events).files("mine")[0].exists()


def test_what_a_night_took_in_is_kept(settings: Settings) -> None:
    for store in (Home(settings).stores.events, Home(settings).stores.raw):
        with store.writer() as writer:
            writer.notes["generation"] = "first"
    taken = {"events/a.csv": {"content": "0", "size": 1, "written_at": "x"}}
    memory = {"generations": ["first", "first"], "days": [], "files": taken}
    remember(settings.home / "nightly/taken.json", memory)
    with pytest.raises(InputError, match="holds more than an earlier demonstration put there"):
        run_demo(Home(settings), accounts=10, days=31, seed=1, now=NOW)


@pytest.mark.parametrize(
    ("verdict", "remarks", "said"),
    [
        (
            Verdict("not_shown", "So little."),
            ("Unproven: So little.", "A remark."),
            ["  Promoted all the same, as by `promote --unproven`; its answers say so.", "  A remark."],
        ),
        (Verdict("passes", "So good."), ("So good.",), []),
    ],
)
def test_the_verdict_is_said_once(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict, remarks: tuple[str, ...], said: list[str]
) -> None:
    monkeypatch.setattr("serving.demo.train_lines", lambda trained: [f"Verdict: {trained.verdict.reason}"])
    promoted = PromoteReport("bellwether-churn", "1", None, remarks)
    lines = list(_lines(SimpleNamespace(verdict=verdict), promoted))  # type: ignore[arg-type]
    first = "bellwether-churn version 1 is the champion; before it, nobody."
    assert lines == [f"Verdict: {verdict.reason}", "", first, *said]
