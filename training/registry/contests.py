"""Whom a new model is held against, as the registry remembers it, and how many were since the last promotion."""

import json
from typing import Any

from features.home.home import Home
from training.labels.targets import target
from training.models import bundle as bundles
from training.models.bundle import Bundle, BundleError
from training.models.contest import Contest, Incumbent
from training.models.recipe import unknown_parameters
from training.registry.champions import champion, champion_version
from training.registry.mlflow_client import client_of, is_begun, opened_mlflow

__all__ = ["contest_of", "note_judged", "note_promoted"]


_REFERENCE = "reference_recipe"
_JUDGED = "recipes_judged"


def contest_of(home: Home, target_name: str) -> Contest:
    """Whom the next model of the target is held against.

    A champion that cannot be read or fitted again keeps no successor away: it is left out, and that is said.

    Raises
    ------
    DependencyError
        When the registry cannot be read.
    """
    if not is_begun(home):
        return Contest()
    name = target(target_name, home).registered_name
    with opened_mlflow() as mlflow:
        tags = _tags(client_of(mlflow, home), name)
    judged = int(tags.get(_JUDGED, "0"))
    if champion_version(home, target_name) is None:
        return Contest(judged_recipes=judged)
    try:
        current = champion(home, target_name)
        bundle = bundles.read(current.bundle_folder, sha256=current.sha256)
    except BundleError as error:
        unread = f"The champion cannot be read, so nothing was compared with it: {error}"
        return Contest(judged_recipes=judged, remarks=(unread,))
    if bundle.rule is not None:  # it has no recipe: a model has to beat every counting rule, this one with them
        return Contest(judged_recipes=judged, rule=bundle.rule.title)
    return _contest_with(home, _incumbent(current.version, bundle), _remembered(tags), judged)


def _contest_with(home: Home, holder: Incumbent, remembered: Incumbent | None, judged: int) -> Contest:
    """Whom a model is held against where a model is champion."""
    gone = _why_gone(home, holder)
    if gone:
        remark = f"The champion, version {holder.version}, {gone}, so nothing was compared with it."
        return Contest(judged_recipes=judged, remarks=(remark,))
    best = remembered or holder
    gone = _why_gone(home, best)
    if gone:
        remark = f"The best recipe so far, of version {best.version}, {gone}; the champion stands for it."
        return Contest(holder, holder, judged, (remark,))
    return Contest(holder, best, judged)


def note_judged(client: Any, name: str, bundle: Bundle) -> None:
    """Count a judged recipe that is not the champion's. Hold the registry's lock."""
    if bundle.verdict.judged_recipes:
        count = int(_tags(client, name).get(_JUDGED, "0")) + 1
        client.set_registered_model_tag(name, _JUDGED, str(count))


def note_promoted(client: Any, name: str, version: str, bundle: Bundle | None) -> None:
    """Begin counting anew, and remember the recipe where it is the first, or shown better than the best so far.

    Hold the registry's lock. A version that goes back to the champion's chair comes without its bundle: no recipe of
    it is new.
    """
    client.set_registered_model_tag(name, _JUDGED, "0")
    if bundle is not None and (_remembered(_tags(client, name)) is None or _is_shown_best(bundle)):
        remembered = {"version": version, "service": bundle.service, "recipe": dict(bundle.recipe)}
        client.set_registered_model_tag(name, _REFERENCE, json.dumps(remembered, sort_keys=True))


def _is_shown_best(bundle: Bundle) -> bool:
    return any(
        row.metric == "roc_auc"
        and row.rival.startswith("the best recipe so far")
        and row.low is not None
        and row.low > 0
        for row in bundle.comparisons
    )


def _remembered(tags: dict[str, str]) -> Incumbent | None:
    if _REFERENCE not in tags:
        return None
    remembered = json.loads(tags[_REFERENCE])
    return Incumbent(remembered["version"], remembered["service"], remembered["recipe"])


def _incumbent(version: str, bundle: Bundle) -> Incumbent:
    low, high = bundle.intervals.get("recall_at_capacity", (None, None))
    recall = None if low is None or high is None else (low, high)
    return Incumbent(version, bundle.service, {k: v for k, v in bundle.recipe.items() if v is not None}, recall)


def _why_gone(home: Home, incumbent: Incumbent) -> str | None:
    """Why a recipe cannot be fitted again; None where it can."""
    if incumbent.service not in home.catalog.services:
        return f"reads {incumbent.service}, which is no more"
    unknown = unknown_parameters(incumbent.parameters)
    if unknown:
        return f"was made by a recipe with {', '.join(unknown)}, which this version does not know"
    return None


def _tags(client: Any, name: str) -> dict[str, str]:
    models = client.search_registered_models(filter_string=f"name='{name}'")
    return dict(models[0].tags) if models else {}
