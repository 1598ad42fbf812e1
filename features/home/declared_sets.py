"""Sets of declared features: what users add to the catalogue, and which older sets the champions still read.

A set is named by a digest of what its features mean, and so are its feature view and its feature services: a changed
definition is another set, and nobody can read one for the other. The settings say what today's set is. The home
remembers, in ``feature_sets.json``, the sets that champions read: these go on being built and served.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.definitions.catalog import BUILT_IN, Catalog
from features.definitions.sets import FeatureSet, catalog_with, set_of
from features.exceptions import DependencyError, WorkFailedError
from features.settings.fields import Settings
from features.storage.state_file import recall, remember

__all__ = ["catalog_of", "custom_sets", "set_of_service", "sets_read"]


_REMEMBERED = "feature_sets.json"
_RESTORE = (
    "Nothing else knows it: restore it from a backup. Without one, move it away and promote each champion again with "
    "`bellwether promote --target T --version V`, before `bellwether features build` or `nightly` runs."
)


def catalog_of(settings: Settings) -> Catalog:
    """The catalogue of a home: what its settings declare, beside what its champions read.

    Raises
    ------
    DependencyError
        When the home cannot say what its champions read.
    """
    today, changed_at = FeatureSet(settings.metrics, settings.tables), _changed_at(settings)
    if not today and changed_at is None:
        return BUILT_IN
    return _catalog(json.dumps(today.as_json), settings.home / _REMEMBERED, changed_at)


def custom_sets(settings: Settings) -> dict[str, FeatureSet]:
    """Every set that is built, by the name of its view."""
    return {one.view: one for one in reversed(_all_sets(settings)) if one}


def set_of_service(settings: Settings, service: str) -> FeatureSet:
    """The declared features a feature service reads; none for a built-in one."""
    view = catalog_of(settings).custom.get(service)
    return FeatureSet() if view is None else custom_sets(settings)[view]


def sets_read(settings: Settings, target: str, sets: Sequence[Mapping[str, Any]]) -> None:
    """Remember the sets, as JSON, that the champion of a target reads: they go on being built and served.

    Around a change of champion this is called twice: with both sets before, and with the one that is left after it.
    The caller holds the lock of the model registry.

    Raises
    ------
    DependencyError
        When the home cannot say what the other champions read.
    WorkFailedError
        When the home cannot remember them.
    """
    path = settings.home / _REMEMBERED
    wanted = [dict(one) for one in sets if one]
    before = _kept(path)
    after = {name: kept for name, kept in {**before, target: wanted}.items() if kept}
    if after != before:
        remember(path, after)


def _all_sets(settings: Settings) -> tuple[FeatureSet, ...]:
    """Today's set, then those that champions read."""
    changed_at = _changed_at(settings)
    today = FeatureSet(settings.metrics, settings.tables)
    return (today, *_remembered(settings.home / _REMEMBERED, changed_at))


def _changed_at(settings: Settings) -> int | None:
    try:
        return (settings.home / _REMEMBERED).stat().st_mtime_ns
    except FileNotFoundError:
        return None


@lru_cache(maxsize=32)
def _catalog(today: str, path: Path, changed_at: int | None) -> Catalog:
    return catalog_with(set_of(json.loads(today)), *_remembered(path, changed_at))


@lru_cache(maxsize=32)
def _remembered(path: Path, changed_at: int | None) -> tuple[FeatureSet, ...]:
    if changed_at is None:
        return ()
    return tuple(set_of(one) for several in _kept(path).values() for one in several)


def _kept(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Target to the sets its champion reads, as JSON; every one of them is a set."""
    try:
        kept = recall(path, remedy=_RESTORE)
        for several in kept.values():
            for one in several:
                set_of(one)
    except WorkFailedError as error:
        raise DependencyError(str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DependencyError(
            f"{path} does not say which metrics and tables the champions read: {error}. {_RESTORE}"
        ) from error
    return kept
