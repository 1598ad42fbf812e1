"""Reasons of whole runs read true: nothing contradicts its direction, is said twice, or speaks of what is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from features.definitions.catalog import CATALOG
from features.feature_store.store import open_store
from serving.routine.batch import feature_columns
from serving.scoring.accounts import built_accounts
from serving.scoring.reasons import reasons_for
from serving.scoring.score import load_scorer, score_rows
from training.registry.champions import champion

if TYPE_CHECKING:
    from tests.conftest import World

KINDS = ("contradiction", "repeated number", "missing value", "another target")
MISSING = re.compile(
    r"not enough history|no fixed term|not known|No subscription is known|There (is|are|was|were) (no|too few)\b"
    r"|carries no|Nobody answered|Too few|not in onboarding|never made a call|No newer version"
    r"|has ever succeeded|No touchpoints"
)
FALLING = re.compile(r"\bfell\b|fewer calls than the best")
RISING = re.compile(r"\brose\b|\bgrew\b|as many calls as|started from nothing|of the calls of the best")
MORE = re.compile(r"more than .* make|on more days than")
FEWER = re.compile(r"fewer than .* make|on fewer days than")
USUAL = re.compile(r"^(?:Active on )?(No|Not|[\d,]+).* usually (?:on )?([\d,]+)")
CODES_ALOUD = re.compile(r"usual spread|entropy|spread of calls|successful calls cost")
NUMBER = re.compile(r"\d[\d,.]*\d|\d")
CONSTANT = re.compile(
    r"(last|over the last|best of the last|any day of the last|of the last) \d+( days| weeks)?|\d+ weeks?\b"
    r"|in the last \d+|slowest \d+ %|of 4\b|stage \d|other than 401, 403 and 429|at least \d+ calls"
    r"|\d+ or more failures"
    r"|[Oo]n the worst of the last \d+"
    r"|next 30 days|the last \d+ days used"
)


class Said(NamedTuple):
    """One reason of a run, as people read it."""

    family: str
    direction: str
    text: str


def contradicts(said: Said, target: str) -> bool:
    """Whether the sentence speaks for the other direction, read as a person would."""
    family, text = said.family, said.text
    is_risk = (said.direction == "raises") != (target == "upsell")
    if CODES_ALOUD.search(text):
        return True
    if family == "silence":
        return is_risk and text.startswith(("The last call was less than", "Silent for less than"))
    if family == "usage_trend":
        return bool((RISING if is_risk else FALLING).search(text))
    if family == "usage_level":
        usual = USUAL.search(text)
        if usual:
            now, before = (0 if word[0] == "N" else int(word.replace(",", "")) for word in usual.groups())
            return (now >= before) if is_risk else (now <= before)
        return bool((MORE if is_risk else FEWER).search(text))
    if family == "onboarding":
        return not is_risk and ("In onboarding" in text or "has not begun" in text)
    if family == "latency":
        both = re.search(r"took (.*?) or more in the last \d+ days[;,].* (?:see )?([\d.,]+ m?s)\b", text)
        if both:
            now, before = map(_milliseconds, both.groups())
            return (now < before) if is_risk else (now > before)
        return ("faster" if is_risk else "slower") in text or (is_risk and text.startswith("No call was slow"))
    if family == "errors":
        return is_risk and text.startswith(("No call ", "On no ", "On none"))
    return False


def _milliseconds(words: str) -> float:
    number, unit = words.split(" ")
    return float(number.replace(",", "")) * (1000.0 if unit == "s" else 1.0)


def numbers(text: str) -> list[str]:
    """The numbers a sentence names, without those of windows; a small count with what it counts."""
    rest, named = CONSTANT.sub(" ", text), []
    for match in NUMBER.finditer(rest):
        after = rest[match.end() :].split(maxsplit=1)
        unit = after[0].strip(".,;:)") if after else ""
        is_small = len(match.group()) == 1
        named.append(f"{match.group()} {unit}" if unit == "%" or (is_small and unit) else match.group())
    return [name for name in named if len(name) > 1]


def faults(answers: Iterable[Sequence[Said]], target: str) -> Iterator[tuple[str, Said]]:
    """Each fault of a run with the sentence that has it."""
    own, others = _own_words(target)
    for answer in answers:
        before: set[str] = set()
        for said in answer:
            if contradicts(said, target):
                yield "contradiction", said
            if MISSING.search(said.text):
                yield "missing value", said
            if any(other.fullmatch(said.text) for other in others) and not any(
                mine.fullmatch(said.text) for mine in own
            ):
                yield "another target", said
            named = numbers(said.text)
            if before & set(named) or len(named) != len(set(named)):
                yield "repeated number", said
            before |= set(named)


def _own_words(target: str) -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    pairs = [(feature.text, feature.upsell_text) for feature in CATALOG if feature.upsell_text]
    churn, upsell = ([_pattern(text) for text in texts] for texts in zip(*pairs, strict=True))
    return (upsell, churn) if target == "upsell" else (churn, upsell)


def _pattern(text: str | None) -> re.Pattern[str]:
    words = re.split(r"\{.*?\}", (text or "").removesuffix("."))
    return re.compile(".*".join(map(re.escape, words)) + r"(, .*)?\.")


class Run(NamedTuple):
    """Feature values, and what a model makes of them."""

    names: Sequence[str]
    columns: Mapping[str, np.ndarray[Any, Any]]
    contributions: np.ndarray[Any, Any]
    yardsticks: Mapping[str, Any]


@pytest.fixture(scope="module")
def scored(trained: World) -> Run:
    """The newest cutoff of the world by its champion."""
    scorer = load_scorer(champion(trained.home, "churn"))
    accounts = built_accounts(trained.home, trained.newest)
    store = open_store(trained.home)
    columns = feature_columns(trained.home, store, scorer.bundle.service, accounts, trained.newest)
    scores = score_rows(scorer, columns)
    return Run(scores.features, columns, scores.contributions, scorer.yardsticks)


def answers(run: Run, contributions: np.ndarray[Any, Any], target: str) -> list[list[Said]]:
    found = reasons_for(run.names, run.columns, contributions, limit=5, target=target, yardsticks=run.yardsticks)
    return [[Said(reason.code, reason.direction, reason.text) for reason in row] for row in found]


@pytest.mark.parametrize("target", ["churn", "upsell"])
@pytest.mark.parametrize("model", ["champion", "any"])
def test_a_run_reads_true(scored: Run, target: str, model: str) -> None:
    """By the champion (turned round for upgrades), and by whatever a model might say of these accounts."""
    if model == "champion":
        contributions = scored.contributions * (1.0 if target == "churn" else -1.0)
    else:
        contributions = np.random.default_rng(4).normal(0.0, 0.2, scored.contributions.shape)
    said = answers(scored, contributions, target)
    wrong = list(faults(said, target))
    counts = Counter(kind for kind, _ in wrong)
    sentences = sum(map(len, said))
    table = " | ".join([f"{target}, {model}: {sentences} sentences", *(f"{kind} {counts[kind]}" for kind in KINDS)])
    print(table)  # noqa: T201 - for who reads the run
    assert sentences > 2 * len(said)
    assert wrong == []


@pytest.mark.parametrize(
    ("said", "target"),
    [
        (Said("silence", "raises", "The last call was less than a day ago."), "churn"),
        (Said("usage_trend", "raises", "Calls fell 20 % against the week before (100 to 80)."), "upsell"),
        (Said("usage_level", "lowers", "8 calls in the last 7 days, usually 60 a week."), "churn"),
        (Said("onboarding", "lowers", "In onboarding for 297 days at stage 2 of 4: a call has succeeded."), "churn"),
        (Said("spend", "lowers", "1,000 successful calls cost 705.85 at the calls of the last 28 days."), "churn"),
        (
            Said(
                "latency",
                "raises",
                "The slowest 5 % of calls took 188 ms or more in the last 28 days; on the same endpoints all customers "
                "together see 291 ms.",
            ),
            "churn",
        ),
    ],
)
def test_a_contradiction_would_be_seen(said: Said, target: str) -> None:
    assert [kind for kind, _ in faults([[said]], target)] == ["contradiction"]


def test_a_repeated_number_and_a_missing_value_would_be_seen() -> None:
    answer = [
        Said("usage_level", "raises", "14 calls in the last 7 days, usually 60 a week."),
        Said("usage_trend", "raises", "Calls fell 77 % against the week before (61 to 14)."),
        Said("contract", "raises", "The subscription has no fixed term."),
    ]
    assert [kind for kind, _ in faults([answer], "churn")] == ["repeated number", "missing value"]
