"""The champion of a target, verified and at hand in a local copy."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from features.home.home import Home
from features.storage.read_only import is_read_only
from training.labels.targets import TARGETS, target
from training.models import bundle as bundles
from training.models.bundle import BundleError
from training.registry.addresses import address_here
from training.registry.mlflow_client import (
    BUNDLE_SHA256,
    CHALLENGER,
    CHAMPION,
    client_of,
    is_begun,
    opened_mlflow,
    version_by_alias,
    version_by_number,
)
from training.registry.recorded import no_champion, no_model, no_version

if TYPE_CHECKING:
    pass

__all__ = ["Champion", "artifacts_of", "champion", "champion_identity", "champion_version", "champions", "registered"]


@dataclass(frozen=True)
class Champion:
    """The model version that answers for a target, with a verified local copy of its bundle."""

    name: str
    version: str
    bundle_folder: Path
    sha256: str


def champion_version(home: Home, target_name: str) -> str | None:
    """Version of the champion, or None where there is none."""
    identity = champion_identity(home, target_name)
    return None if identity is None else identity[0]


def champion_identity(home: Home, target_name: str) -> tuple[str, str] | None:
    """Version and bundle SHA-256 of the champion, or None where there is none.

    Raises
    ------
    DependencyError
        When the registry cannot be read.
    """
    if not is_begun(home):
        return None
    with opened_mlflow() as mlflow:
        version = version_by_alias(client_of(mlflow, home), target(target_name, home).registered_name, CHAMPION)
        return None if version is None else (str(version.version), str(version.tags.get(BUNDLE_SHA256, "")))


def champion(home: Home, target_name: str) -> Champion:
    """The target's champion; its bundle is copied to ``home/bundles/<sha256>/`` once and verified every time.

    Raises
    ------
    DependencyError
        When there is no champion.
    BundleError
        When the bundle is not the one that was registered.
    """
    name = target(target_name, home).registered_name
    if is_begun(home):
        with opened_mlflow() as mlflow:
            client = client_of(mlflow, home)
            version = version_by_alias(client, name, CHAMPION)
            if version is not None:
                return local_copy(mlflow, home, version)
    raise no_champion(home, target_name)


def registered(home: Home, target_name: str, *, version: str | None = None) -> Champion:
    """A registered version with a verified copy of its bundle: the one asked for, else the champion or the challenger.

    Raises
    ------
    InputError
        When there is no such version.
    DependencyError
        When nothing was ever registered.
    BundleError
        When the bundle is not the one that was registered.
    """
    name = target(target_name, home).registered_name
    if is_begun(home):
        with opened_mlflow() as mlflow:
            client = client_of(mlflow, home)
            if version is None:
                named = version_by_alias(client, name, CHAMPION) or version_by_alias(client, name, CHALLENGER)
            else:
                named = version_by_number(client, name, version)
                if named is None:
                    raise no_version(target_name, version)
            if named is not None:
                return local_copy(mlflow, home, named)
    raise no_model(target_name)


def champions(home: Home) -> dict[str, Champion]:
    """Every target that has a champion, in the order of :data:`training.labels.targets.TARGETS`."""
    return {name: champion(home, name) for name in TARGETS if champion_version(home, name) is not None}


def artifacts_of(home: Home, target_name: str) -> Path | None:
    """The folder of the champion's bundle among the registry's artifacts; None where there is no champion.

    Raises
    ------
    DependencyError
        When the registry cannot be read.
    """
    if not is_begun(home):
        return None
    with opened_mlflow() as mlflow:
        version = version_by_alias(client_of(mlflow, home), target(target_name, home).registered_name, CHAMPION)
        if version is None:
            return None
        return _bundle_among_artifacts(mlflow, home, version)


def local_copy(mlflow: Any, home: Home, version: Any) -> Champion:
    sha256 = version.tags.get(BUNDLE_SHA256)
    if not sha256:
        raise BundleError(f"{version.name} version {version.version} carries no bundle. Train it again.")
    folder = home.bundles / sha256
    try:
        bundles.read(folder, sha256=sha256)
    except BundleError:
        if is_read_only(folder):  # nobody can put a copy there
            folder = _bundle_among_artifacts(mlflow, home, version)
            bundles.read(folder, sha256=sha256)
        else:
            _fetch(mlflow, home, version, folder)
    return Champion(version.name, str(version.version), folder, sha256)


def _fetch(mlflow: Any, home: Home, version: Any, folder: Path) -> None:
    """Put a verified copy of the version's bundle into ``folder``, in place of one that is missing or damaged."""
    draft = folder.parent / f".draft-{uuid.uuid4().hex}"
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise BundleError(
            f"{folder.parent} cannot be written: {error.strerror}. Mend its permissions, or move what lies there away."
        ) from error
    try:
        source = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{run_artifacts(mlflow, home, version)}/bundle", dst_path=str(draft)
        )
        _verify(Path(source), sha256=folder.name, lies_in=_bundle_among_artifacts(mlflow, home, version))
        if folder.exists():
            folder.rename(draft / "damaged")
        Path(source).rename(folder)
    except (OSError, mlflow.exceptions.MlflowException) as error:
        try:
            bundles.read(folder, sha256=folder.name)  # another process was first, with the same content
        except BundleError:
            raise BundleError(
                f"The bundle of {version.name} version {version.version} cannot be copied: {error}. "
                "Restore the registry's artifacts from a backup, or train again."
            ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _verify(copy: Path, *, sha256: str, lies_in: Path) -> None:
    """Require a copy to be whole; what is wrong is said of the file that was copied, since the copy goes."""
    try:
        bundles.read(copy, sha256=sha256)
    except BundleError as error:
        raise BundleError(str(error).replace(str(copy), str(lies_in))) from error


def _bundle_among_artifacts(mlflow: Any, home: Home, version: Any) -> Path:
    return Path(unquote(urlsplit(run_artifacts(mlflow, home, version)).path)) / "bundle"


def run_artifacts(mlflow: Any, home: Home, version: Any) -> str:
    # The database remembers where the home was; the artifacts moved with it.
    return address_here(home, str(client_of(mlflow, home).get_run(version.run_id).info.artifact_uri))
