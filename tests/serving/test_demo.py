"""What a demonstration may remove before it begins afresh: what it made itself, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.exceptions import GateRefusedError, InputError
from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.state_file import recall, remember
from features.windows import DAY, utc
from serving.demo import _champion, _lines, run_demo
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
    ("verdict", "remarks", "rule", "said"),
    [
        (
            Verdict("not_shown", "So little."),
            ("Unproven: So little.", "A remark."),
            None,
            ["  Promoted all the same, as by `promote --unproven`; its answers say so.", "  A remark."],
        ),
        (Verdict("passes", "So good."), ("So good.",), None, []),
        (
            Verdict("not_shown", "So little."),
            ('It is the rule "calls fell by half".',),
            "calls fell by half",
            [
                "  The rule answers in place of the model, as by `promote --rule`.",
                '  It is the rule "calls fell by half".',
            ],
        ),
    ],
)
def test_the_verdict_is_said_once(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict, remarks: tuple[str, ...], rule: str | None, said: list[str]
) -> None:
    monkeypatch.setattr("serving.demo.train_lines", lambda trained: [f"Verdict: {trained.verdict.reason}"])
    promoted = PromoteReport("bellwether-churn", "1", None, remarks, rule)
    lines = list(_lines(SimpleNamespace(verdict=verdict), promoted))  # type: ignore[arg-type]
    first = "bellwether-churn version 1 is the champion; before it, nobody."
    assert lines == [f"Verdict: {verdict.reason}", "", first, *([] if rule is None else [f"  Rule: {rule}."]), *said]


@pytest.mark.parametrize(
    ("target", "answer", "wanted"),
    [
        ("churn", "passes", {"unproven": True, "rule": False}),
        ("churn", "not_shown", {"unproven": True, "rule": False}),
        ("churn", "refused", {"unproven": False, "rule": True}),
        ("upsell", "passes", {"unproven": True, "rule": False}),
        ("upsell", "not_shown", {"unproven": False, "rule": True}),
        ("upsell", "refused", {"unproven": False, "rule": True}),
    ],
)
def test_a_rule_answers_where_the_model_should_not(
    monkeypatch: pytest.MonkeyPatch, target: str, answer: Any, wanted: dict[str, bool]
) -> None:
    def done(_: Home, name: str, **asked: bool) -> PromoteReport:
        assert (name, asked) == (target, wanted)
        return PromoteReport(f"bellwether-{name}", "1", None, ())

    report: Any = SimpleNamespace(verdict=Verdict(answer, "So it is."))
    monkeypatch.setattr("serving.demo.train", lambda *_, **__: report)
    monkeypatch.setattr("serving.demo.train_lines", lambda _: ["Trained."])
    monkeypatch.setattr("serving.demo.promote", done)
    unused: Any = None
    lines = _champion(unused, target, unused, unused, unused)
    assert lines[0] == "Trained."


@pytest.mark.parametrize("has_champion", [True, False])
def test_a_champion_of_an_earlier_run_stays_where_nobody_better_can_answer(
    monkeypatch: pytest.MonkeyPatch, *, has_champion: bool
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise GateRefusedError("No rule takes its place.")

    report: Any = SimpleNamespace(verdict=Verdict("refused", "So it is."))
    monkeypatch.setattr("serving.demo.train", lambda *_, **__: report)
    monkeypatch.setattr("serving.demo.train_lines", lambda _: ["Trained."])
    monkeypatch.setattr("serving.demo.promote", refused)
    monkeypatch.setattr("serving.demo.champion_version", lambda *_: "1" if has_champion else None)
    unused: Any = None
    if has_champion:
        assert _champion(unused, "churn", unused, unused, unused) == ["Trained.", "", "No rule takes its place."]
    else:
        with pytest.raises(GateRefusedError, match=r"No rule takes its place\.\n\nWhat the training found:\nTrained\."):
            _champion(unused, "churn", unused, unused, unused)
