"""Checks of the model registry: its schema, its addresses, and whether every champion can be had."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from features.doctor.set_aside import folder_of
from features.examination import Check, Finding
from features.exceptions import listed
from features.home.home import Home
from features.storage.lock import exclusive_lock
from training.labels.targets import TARGETS
from training.models import bundle as bundles
from training.models.bundle import BundleError
from training.registry.addresses import addresses_elsewhere, relocate
from training.registry.champions import artifacts_of, champion, champion_identity
from training.registry.migrations import is_migrated, upgrade
from training.registry.registry import drop_alias, standing

__all__ = ["REGISTRY_CHECKS"]


def _look_at_schema(home: Home, _: datetime) -> Iterator[Finding]:
    if not is_migrated(home):
        yield Finding(
            "The model registry has the schema of another MLflow: nothing can be read or registered.",
            "`bellwether doctor --repair` migrates it and keeps a copy beside it.",
        )


def _look_at_addresses(home: Home, _: datetime) -> Iterator[Finding]:
    elsewhere = addresses_elsewhere(home)
    if elsewhere:
        yield Finding(
            f"The home was moved: the model registry still names {listed(elsewhere)}. The MLflow UI looks for "
            "artifacts there.",
            "`bellwether doctor --repair` rewrites the addresses; training and promoting do it too.",
            is_remark=True,
        )


def _mend_addresses(home: Home, _: datetime) -> None:
    with exclusive_lock(home.mlflow):
        relocate(home)


def _look_at_aliases(home: Home, _: datetime) -> Iterator[Finding]:
    for target in TARGETS:
        model = standing(home, target)
        for alias in model.lost_aliases:
            yield Finding(
                f"The {alias} of {model.name} is version {model.aliases[alias]}, which is gone.",
                f"`bellwether doctor --repair` drops the alias; then promote one of: "
                f"{listed(model.versions) or 'none, train one first'}.",
            )


def _mend_aliases(home: Home, _: datetime) -> None:
    for target in TARGETS:
        model = standing(home, target)
        for alias in model.lost_aliases:
            drop_alias(home, model.name, alias)


def _look_at_artifacts(home: Home, _: datetime) -> Iterator[Finding]:
    for target in TARGETS:
        folder, identity = _champion(home, target)
        if folder is None or identity is None:
            continue
        version, sha256 = identity
        if not _verifies(folder, sha256):
            has_copy = _verifies(home.bundles / sha256, sha256)
            yield Finding(
                f"The artifacts of the champion of {target}, version {version}, are missing or not what was "
                f"registered: {folder}.",
                "`bellwether doctor --repair` puts them back from the verified local copy."
                if has_copy
                else f"Restore from a backup, or go back with `bellwether promote --target {target} --version V`.",
            )


def _mend_artifacts(home: Home, now: datetime) -> None:
    with exclusive_lock(home.mlflow):
        for target in TARGETS:
            folder, identity = _champion(home, target)
            if folder is None or identity is None or _verifies(folder, identity[1]):
                continue
            local = home.bundles / identity[1]
            if _verifies(local, identity[1]):
                if folder.exists():
                    aside = folder_of(home, now) / folder.relative_to(home.root)
                    aside.parent.mkdir(parents=True, exist_ok=True)
                    folder.replace(aside)
                shutil.copytree(local, folder)


def _look_at_bundles(home: Home, _: datetime) -> Iterator[Finding]:
    for folder in _local_bundles(home):
        if not _verifies(folder, folder.name):
            yield Finding(
                f"The local copy of a bundle is damaged: {folder}. It is refused, and fetched again when it is needed.",
                "`bellwether doctor --repair` removes it and fetches the champions' again.",
            )


def _mend_bundles(home: Home, _: datetime) -> None:
    for folder in _local_bundles(home):
        if not _verifies(folder, folder.name):
            shutil.rmtree(folder, ignore_errors=True)
    for target in TARGETS:
        if champion_identity(home, target) is not None:
            champion(home, target)


def _champion(home: Home, target: str) -> tuple[Path | None, tuple[str, str] | None]:
    model = standing(home, target)
    if "champion" in model.lost_aliases:
        return None, None
    return artifacts_of(home, target), champion_identity(home, target)


def _local_bundles(home: Home) -> list[Path]:
    folder = home.bundles
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _verifies(folder: Path, sha256: str) -> bool:
    try:
        bundles.read(folder, sha256=sha256)
    except BundleError:
        return False
    return True


REGISTRY_CHECKS: tuple[Check, ...] = (
    Check("registry schema", _look_at_schema, lambda home, _: upgrade(home)),
    Check("registry addresses", _look_at_addresses, _mend_addresses),
    Check("registry aliases", _look_at_aliases, _mend_aliases),
    Check("champion artifacts", _look_at_artifacts, _mend_artifacts),
    Check("bundles", _look_at_bundles, _mend_bundles),
)
"""In the order in which a repair helps the next."""
