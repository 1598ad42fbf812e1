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
from features.storage.state_file import recall, remember

__all__ = ["catalog_of", "sets_of", "sets_read"]


_RESTORE = (
    "Nothing else knows it: restore it from a backup. Without one, move it away and promote each champion again with "
    "`bellwether promote --target T --version V`, before `bellwether features build` or `nightly` runs."
)


def catalog_of(today: FeatureSet, champion_sets: Path) -> Catalog:
    """The catalogue of a home: the set its settings declare, beside those its champions read.

    Raises
    ------
    DependencyError
        When ``champion_sets`` is there and does not say what the champions read.
    """
    changed_at = _changed_at(champion_sets)
    if not today and changed_at is None:
        return BUILT_IN
    return _catalog(json.dumps(today.as_json), champion_sets, changed_at)


def sets_of(today: FeatureSet, champion_sets: Path) -> dict[str, FeatureSet]:
    """Every set that is built, by the name of its view.

    Raises
    ------
    DependencyError
        As :func:`catalog_of`.
    """
    sets = (today, *_remembered(champion_sets, _changed_at(champion_sets)))
    return {feature_set.view: feature_set for feature_set in reversed(sets) if feature_set}


def sets_read(champion_sets: Path, target: str, sets: Sequence[Mapping[str, Any]]) -> None:
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
    wanted = [dict(declared) for declared in sets if declared]
    before = _read_by_champions(champion_sets)
    after = {name: declared for name, declared in {**before, target: wanted}.items() if declared}
    if after != before:
        remember(champion_sets, after)


def _changed_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


@lru_cache(maxsize=32)
def _catalog(today: str, path: Path, changed_at: int | None) -> Catalog:
    return catalog_with(set_of(json.loads(today)), *_remembered(path, changed_at))


@lru_cache(maxsize=32)
def _remembered(path: Path, changed_at: int | None) -> tuple[FeatureSet, ...]:
    if changed_at is None:
        return ()
    return tuple(set_of(declared) for sets in _read_by_champions(path).values() for declared in sets)


def _read_by_champions(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Target to the sets its champion reads, as JSON; every one of them is a set."""
    try:
        sets_of_target = recall(path, remedy=_RESTORE)
        for sets in sets_of_target.values():
            for declared in sets:
                set_of(declared)
    except WorkFailedError as error:
        raise DependencyError(str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DependencyError(
            f"{path} does not say which metrics and tables the champions read: {error}. {_RESTORE}"
        ) from error
    return sets_of_target
