"""What the registry's database says of a model's versions and aliases, read at once: importing MLflow takes seconds.

It serves to refuse what cannot be meant before anything is loaded; all else is asked through MLflow.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from features.exceptions import DependencyError, GateRefusedError, InputError
from features.home.home import Home
from features.storage.read_only import connected_to_read, is_read_only
from training.labels.names import registered_name

__all__ = [
    "another_champion",
    "no_candidate",
    "no_champion",
    "no_model",
    "no_version",
    "nothing_registered",
    "require_candidate",
    "require_champion",
    "require_version",
]

_DELETED = "Deleted_Internal"  # the stage MLflow gives to a version that is deleted


@dataclass(frozen=True)
class _Recorded:
    """A registered model: its versions, and the version each alias names; ``is_begun`` as of the whole registry."""

    is_begun: bool = True
    versions: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


def require_candidate(home: Home, target_name: str, *, version: str | None, expect_current: str | None) -> None:
    """Refuse a promotion of what is not registered, or over another champion than was expected.

    Raises
    ------
    DependencyError, InputError, GateRefusedError
        As :func:`training.registry.promotion.promote`.
    """
    known = _recorded(home, target_name)
    if known is None:
        return
    if not known.is_begun:
        raise nothing_registered(target_name)
    if "challenger" not in known.aliases if version is None else version not in known.versions:
        raise no_candidate(target_name, version)
    current = known.aliases.get("champion")
    if expect_current is not None and expect_current != (current or "none"):
        raise another_champion(target_name, current, expect_current)


def require_version(home: Home, target_name: str, version: str | None) -> None:
    """Refuse a version that is not registered, or a target without any.

    Raises
    ------
    DependencyError, InputError
        As :func:`training.registry.champions.registered`.
    """
    known = _recorded(home, target_name)
    if known is None:
        return
    if known.is_begun and version is not None and version not in known.versions:
        raise no_version(target_name, version)
    if not known.is_begun or (version is None and known.aliases.keys().isdisjoint({"champion", "challenger"})):
        raise no_model(target_name)


def require_champion(home: Home, target_name: str | None) -> None:
    """Refuse a target that was named and has no champion.

    Raises
    ------
    DependencyError
        As :func:`training.registry.champions.champion`.
    """
    known = None if target_name is None else _recorded(home, target_name)
    if target_name is not None and known is not None and "champion" not in known.aliases:
        raise no_champion(home, target_name)


def nothing_registered(target_name: str) -> DependencyError:
    """What to say of a promotion where the registry is empty."""
    return DependencyError(f"No model is registered yet. Run `bellwether train --target {target_name}` first.")


def no_candidate(target_name: str, version: str | None) -> InputError:
    """What to say where the version to promote, or the challenger, is not there."""
    asked = "challenger" if version is None else f"version {version}"
    name = registered_name(target_name)
    return InputError(f"{name} has no {asked}. Run `bellwether train --target {target_name}` to make one.")


def another_champion(target_name: str, current: str | None, expected: str) -> GateRefusedError:
    """What to say where the champion is not the one that was expected."""
    who = "nobody" if current is None else f"version {current}"
    return GateRefusedError(
        f"The champion of {registered_name(target_name)} is {who}, not version {expected}. Look at it, then promote "
        "again."
    )


def no_version(target_name: str, version: str) -> InputError:
    """What to say where a version to look at is not there."""
    return InputError(
        f"{registered_name(target_name)} has no version {version}. Run `mlflow ui` to see which there are."
    )


def no_model(target_name: str) -> DependencyError:
    """What to say where there is neither champion nor challenger to look at."""
    return DependencyError(
        f"{registered_name(target_name)} has no model yet. Run `bellwether train --target {target_name}` first."
    )


def no_champion(home: Home, target_name: str) -> DependencyError:
    """What to say where nobody answers for a target."""
    return DependencyError(
        f"{registered_name(target_name)} has no champion in {home.mlflow_database.parent}. "
        f"Run `bellwether train --target {target_name}`, then `bellwether promote --target {target_name}`."
    )


def _recorded(home: Home, target_name: str) -> _Recorded | None:
    """What is registered of a target; None where the database cannot be read so, of which MLflow says more."""
    database = home.mlflow_database
    try:
        if not database.is_file() or not database.stat().st_size:
            return _Recorded(is_begun=False)
        asked = {"name": registered_name(target_name), "deleted": _DELETED}
        address = f"{database.absolute().as_uri()}?mode=rw"
        with closing(
            connected_to_read(database) if is_read_only(database) else sqlite3.connect(address, uri=True)
        ) as connection:
            versions = connection.execute(
                "SELECT version FROM model_versions WHERE name = :name AND current_stage IS NOT :deleted", asked
            ).fetchall()
            aliases = connection.execute(
                "SELECT alias, version FROM registered_model_aliases WHERE name = :name", asked
            ).fetchall()
    except (OSError, sqlite3.Error):
        return None
    known = frozenset(str(version) for (version,) in versions)
    return _Recorded(
        versions=known, aliases={alias: str(version) for alias, version in aliases if str(version) in known}
    )
