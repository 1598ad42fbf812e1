"""Small books, 100, 200 and 400 simulated accounts: what their user reads at each step, from training to the night.

Numbers move with every feature that is added; the sentences stay, so in these each number is an N.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from features.home.home import Home
from features.settings.load import load_settings
from serving.cli import main
from serving.ledger.ledger import open_ledger
from serving.routine.batch import score_batch
from serving.routine.nightly_report import target_night
from serving.routine.nightly_text import _scored
from tests.conftest import World
from training import flow
from training.labels.dataset import Dataset
from training.models import model

pytestmark = pytest.mark.slow
SIZES = (100, 200, 400)


@dataclass(frozen=True)
class Read:
    """What one command said, numbers as N and the rule as RULE, and its exit code."""

    code: int
    text: str


@dataclass(frozen=True)
class Book:
    """A small company's way to its first answers."""

    accounts: int
    rule: str
    read: dict[str, Read]


def _plain(text: str, rule: str | None) -> str:
    """The text on one line, numbers as N, the rule as RULE, and whatever stands in quotes as Q."""
    text = text if rule is None else text.replace(rule, "RULE")
    text = re.sub(r"Q(?:, Q)*(?: and Q)?", "Q", re.sub(r'"[^"]*"', "Q", text))
    return " ".join(re.sub(r"(?<![\w-])[+-]?\d[\d,.]*(?<![.,])", "N", text).split())


@pytest.fixture(scope="session", params=SIZES)
def book(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The first accounts of the simulated world alone, trained, promoted each way, scored and explained."""
    copy = world.copy_to(tmp_path_factory.mktemp(f"book{request.param}"))
    home = Home(load_settings(home=copy.settings.home, stale_after_hours=1e6, judging_blocks=1))
    load = flow.load

    def first(home: Home, aim: Any) -> Dataset:
        dataset = load(home, aim)
        names = sorted(dataset.frame["account_id"].unique())[: request.param]
        frame = dataset.frame[dataset.frame["account_id"].isin(names)].reset_index(drop=True)
        return replace(dataset, frame=frame)

    def card(folder: Path, *_: Any) -> None:
        folder.mkdir(parents=True)
        (folder / "model_card.md").write_text("A model for tests.\n")

    told: dict[str, Read] = {}

    def run(name: str, *arguments: str) -> None:
        shown = CliRunner().invoke(
            main,
            ["--home", str(copy.settings.home), *arguments],
            env={"BELLWETHER_JUDGING_BLOCKS": "1", "BELLWETHER_STALE_AFTER_HOURS": "1000000"},
        )
        told[name] = Read(shown.exit_code, shown.output)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "load", first)
        patch.setattr(flow, "write_report", card)  # pictures are the longest part of a small training
        patch.setattr(model, "_MOST_ROUNDS", 40)
        patch.setattr(model, "_PATIENCE", 20)
        as_of = ("--as-of", f"{world.newest:%Y-%m-%d}")
        run("train", "train", "--target", "churn")
        run("promote", "promote", "--target", "churn")
        run("unproven", "promote", "--target", "churn", "--unproven")
        run("rule", "promote", "--target", "churn", "--rule")
        run("score", "score", *as_of, "--top", "2")
        run("explain", "explain", "acct_000003", *as_of)
    with closing(open_ledger(home)) as ledger:
        night = target_night(score_batch(home, as_of=world.newest, now=world.now).targets[0], ledger)
    told["nightly"] = Read(0, "\n".join(_scored(night)))
    found = re.search(r"^  Rule: (.+)\.$", told["rule"].text, re.MULTILINE)
    rule = None if found is None else found[1]
    return Book(request.param, rule or "", {name: Read(r.code, _plain(r.text, rule)) for name, r in told.items()})


_NOT_YET = (
    r"It is not shown to rank better than Q\. N events cannot tell differences under N; about "
    r"N could, some N \w+ at this "
    r"rate\.|N events? can show nothing; it takes N at least\."
)
NOT_SHOWN = {
    "train": (
        0,
        (
            rf"Verdict: not shown\. (?:{_NOT_YET}) .*Until one passes, nobody answers; the rule Q can: "
            rf"`bellwether promote "
            r"--target churn --rule`\. Look at it: mlflow ui"
        ),
    ),
    "promote": (
        4,
        (
            rf"^Error: bellwether-churn version N is not shown to be good enough\. (?:{_NOT_YET}) "
            rf"`bellwether promote --target "
            r"churn --unproven` promotes it all the same; its answers say so\. With --rule the best "
            r"counting rule answers "
            r"instead\.$"
        ),
    ),
    "unproven": (
        0,
        rf"^bellwether-churn version N is the champion; before it, nobody\. Unproven: (?:{_NOT_YET})",
    ),
    "rule": (
        0,
        (
            r"^bellwether-churn version N is the champion; before it, version N\. Rule: RULE\. It is "
            r"the rule Q(?:, (?:not )?"
            r"shown to rank better than chance on N events: ROC-AUC N \[N, N\]\.|\. N events? can "
            r"show nothing of it; it takes "
            r"N at least\.)"
        ),
    ),
    "score": (0, r"churn between N and N days from .* scored, .* Rule: RULE\. account id"),
    "explain": (0, r"others make N \(Rule: RULE; bellwether-churn version N\)\. What is wrong here"),
    "nightly": (0, r"^churn, version N \(Rule: RULE\): N high, N medium, N low"),
}
PASSES = {
    "train": (0, r"Verdict: passes\. It is shown to rank better than Q on N events\."),
    "promote": (
        0,
        r"^bellwether-churn version N is the champion; before it, nobody\. It is shown to rank better than Q",
    ),
    "unproven": (0, r"^bellwether-churn version N is the champion; before it, version N\."),
    "rule": (
        4,
        (
            r"^Error: The champion of bellwether-churn, version N, is a model that passed the gate, "
            r"and no rule takes its "
            r"place\. It is shown to rank better than Q"
        ),
    ),
    "score": (0, r"churn between N and N days from .* scored, [^R]* account id"),
    "explain": (0, r"others make N \(model bellwether-churn version N\)\. What is wrong here"),
    "nightly": (0, r"^churn, model version N: N high, N medium, N low"),
}


def test_its_user_reads_what_is_so_and_what_to_do(book: Book) -> None:
    sentences = PASSES if "Verdict: passes" in book.read["train"].text else NOT_SHOWN
    for name, (code, sentence) in sentences.items():
        read = book.read[name]
        assert (name, read.code) == (name, code), read.text
        assert re.search(sentence, read.text), f"{name}: {read.text}"


def test_a_hundred_accounts_show_nothing(book: Book) -> None:
    if book.accounts == SIZES[0]:
        assert "Verdict: not shown." in book.read["train"].text
