"""Whom a new model is held against: the champion, the best recipe so far, and how many were tried meanwhile."""

import dataclasses
from types import SimpleNamespace

import pytest

from features.home.home import Home
from tests.training.models.test_bundle_files import OF_RULE, SMALL
from training.models.bundle import BundleError, Comparison, Verdict
from training.models.model import RECIPE
from training.registry import contests
from training.registry.contests import contest_of, note_judged, note_promoted

NAME = "bellwether-churn"


@pytest.fixture
def bundle():
    return dataclasses.replace(
        SMALL, service="churn_v2", recipe=dict(RECIPE), intervals={"recall_at_capacity": (0.2, 0.4)}
    )


class Client:
    """The registry's tags of one registered model."""

    def __init__(self):
        self.tags = {}

    def search_registered_models(self, filter_string):
        assert filter_string == f"name='{NAME}'"
        return [SimpleNamespace(tags=dict(self.tags))]

    def set_registered_model_tag(self, name, key, value):
        assert name == NAME
        self.tags[key] = value


@pytest.fixture
def registry(monkeypatch, plain, bundle):
    """A registry in memory, in which ``bundle`` is version 3 and champion."""
    client, held = Client(), {"champion": bundle}
    monkeypatch.setattr(contests, "is_begun", lambda _: True)
    monkeypatch.setattr(contests, "client_of", lambda *_: client)
    monkeypatch.setattr(contests, "champion_version", lambda *_: held["champion"] and "3")
    monkeypatch.setattr(contests, "champion", lambda *_: SimpleNamespace(version="3", bundle_folder="", sha256=""))

    def read(*_, **__):
        if isinstance(held["champion"], Exception):
            raise held["champion"]
        return held["champion"]

    monkeypatch.setattr(contests.bundles, "read", read)
    return SimpleNamespace(client=client, held=held, contest=lambda: contest_of(Home(plain), "churn"))


def judged(bundle, k, **changes):
    return dataclasses.replace(bundle, verdict=Verdict("not_shown", "", judged_recipes=k), **changes)


def ahead(low):
    return (Comparison("the best recipe so far, version 3", "roc_auc", 0.8, 0.7, 0.1, low, 0.2),)


def test_recipes_are_counted_until_one_is_promoted(registry, bundle):
    registry.held["champion"] = None
    assert registry.contest() == contests.Contest()
    for k in (1, 2, 0, 3):  # a refresh of the champion's recipe counts for nothing
        note_judged(registry.client, NAME, judged(bundle, k))
    assert registry.contest().judged_recipes == 3
    note_promoted(registry.client, NAME, "3", bundle)
    assert registry.contest().judged_recipes == 0


def test_the_best_recipe_is_replaced_only_by_one_shown_better(registry, bundle):
    contest = registry.contest()
    assert contest.champion == contest.reference
    assert contest.champion.is_recipe(bundle.service, RECIPE)
    assert contest.champion.recall == bundle.intervals["recall_at_capacity"]
    note_promoted(registry.client, NAME, "3", bundle)
    other = {**RECIPE, "num_leaves": 4}
    for version, low, best in (("4", -0.01, "3"), ("5", 0.01, "5")):
        promoted = dataclasses.replace(bundle, recipe=other, comparisons=ahead(low))
        note_promoted(registry.client, NAME, version, promoted)
        registry.held["champion"] = promoted
        assert registry.contest().reference.version == best
    note_promoted(registry.client, NAME, "3", None)  # going back changes nothing
    assert registry.contest().reference.is_recipe(bundle.service, other)


def test_a_champion_that_cannot_be_fitted_again_keeps_no_successor_away(registry, bundle):
    registry.held["champion"] = BundleError("It is gone.")
    assert registry.contest().champion is None
    assert "cannot be read, so nothing was compared with it: It is gone." in registry.contest().remarks[0]
    registry.held["champion"] = dataclasses.replace(bundle, service="churn_v0")
    assert registry.contest().remarks == (
        "The champion, version 3, reads churn_v0, which is no more, so nothing was compared with it.",
    )
    registry.held["champion"] = dataclasses.replace(bundle, recipe={**RECIPE, "members": 3.0})
    assert "a recipe with members, which this version does not know" in registry.contest().remarks[0]
    assert registry.contest().champion is None


def test_a_best_recipe_that_is_gone_leaves_the_champion(registry, bundle):
    note_promoted(registry.client, NAME, "2", dataclasses.replace(bundle, service="churn_v0"))
    contest = registry.contest()
    assert contest.reference == contest.champion
    assert contest.remarks[0].startswith("The best recipe so far, of version 2, reads churn_v0")


def test_a_rule_is_no_recipe_to_be_beaten_but_every_rule_is(registry, bundle):
    note_judged(registry.client, NAME, judged(bundle, 1))
    registry.held["champion"] = OF_RULE
    assert registry.contest() == contests.Contest(judged_recipes=1, rule="calls this week")
