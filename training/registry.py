"""The model registry: the only door to MLflow."""

import logging
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from features.built import left_out
from features.exceptions import BellwetherError, DependencyError, GateRefusedError, InputError, listed
from features.feature_sets import sets_read
from features.manifest import exclusive_lock
from features.settings import Settings
from training import bundle as bundles
from training.addresses import address_here, relocate
from training.bundle import Bundle, BundleError
from training.targets import TARGETS, target

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Champion",
    "PromoteReport",
    "Standing",
    "TrainingRun",
    "artifacts_of",
    "champion",
    "champion_identity",
    "champion_version",
    "champions",
    "drop_alias",
    "is_migrated",
    "migrate",
    "promote",
    "register",
    "standing",
    "tracking_address",
    "ui_command",
    "upgrade",
]

_CHAMPION = "champion"
_CHALLENGER = "challenger"
_SHA = "bundle_sha256"
_FINGERPRINT = "dataset_fingerprint"
_VERIFIED = "verification"
_WAS_CHAMPION = "was_champion"
_GOLDEN = "golden rows"


@dataclass(frozen=True)
class Champion:
    """The model version that answers for a target, with a verified local copy of its bundle."""

    name: str
    version: str
    bundle_folder: Path
    sha256: str


@dataclass(frozen=True)
class TrainingRun:
    """What one training leaves in MLflow.

    Attributes
    ----------
    pictures
        Folder of plots and the model card.
    example
        A few rows of the model's own columns, all doubles: the signature.
    requirements
        Exact versions the text booster needs, never inferred by running pip.
    """

    target: str
    bundle: Bundle
    bundle_folder: Path
    sha256: str
    pictures: Path
    example: "pd.DataFrame"
    parameters: Mapping[str, object]
    requirements: Sequence[str]


@dataclass(frozen=True)
class PromoteReport:
    """What a promotion did: the versions before and after, and what the gate said."""

    name: str
    version: str
    previous: str | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """What the registry holds of a target: versions, and which version each alias names."""

    name: str
    versions: tuple[str, ...]
    aliases: Mapping[str, str]

    @property
    def lost_aliases(self) -> tuple[str, ...]:
        """Aliases of versions that are gone."""
        return tuple(alias for alias, version in self.aliases.items() if version not in self.versions)


def tracking_address(settings: Settings) -> str:
    """Where MLflow keeps runs and models."""
    return f"sqlite:///{settings.home / 'mlflow' / 'mlflow.db'}"


def ui_command(settings: Settings) -> str:
    """The line that opens the MLflow UI."""
    return f"mlflow ui --backend-store-uri {tracking_address(settings)} --host 127.0.0.1 --port 5000"


def migrate(settings: Settings) -> None:
    """Make the registry's database, or bring it to the installed MLflow's schema.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    _made(settings)
    with _mlflow() as mlflow:
        _client(mlflow, settings).search_experiments(max_results=1)


def register(settings: Settings, run: TrainingRun) -> str:
    """Log a training run and register its model as the challenger; returns the version.

    The bundle is first loaded in a process of its own and gives its golden margins, or nothing is registered.

    Raises
    ------
    BundleError
        When the bundle does not load.
    LockHeldError
        When another process is registering.
    """
    bundles.check_apart(run.bundle_folder, sha256=run.sha256)
    booster = bundles.load_booster(run.bundle)
    name = target(run.target, settings).registered_name
    _made(settings)
    with exclusive_lock(settings.home / "mlflow"), _mlflow() as mlflow:
        relocate(settings)
        client = _client(mlflow, settings)
        mlflow.set_tracking_uri(tracking_address(settings))
        # An explicit run: `mlflow run` sets MLFLOW_RUN_ID, which belongs to another store.
        created = client.create_run(_experiment(client, settings, name), run_name=f"train {run.target}")
        signature = mlflow.models.infer_signature(run.example.astype("float64"), run.example.iloc[:, 0] * 0.5)
        with mlflow.start_run(run_id=created.info.run_id):
            mlflow.log_params(dict(run.parameters))
            mlflow.log_metrics({key: value for key, value in run.bundle.metrics.items() if value is not None})
            mlflow.log_artifacts(str(run.bundle_folder), "bundle")
            mlflow.log_artifacts(str(run.pictures))
            logged = mlflow.lightgbm.log_model(
                booster, name="model", signature=signature, pip_requirements=list(run.requirements)
            )
        _named(client, name)
        version = client.create_model_version(
            name,
            source=logged.model_uri,
            run_id=created.info.run_id,
            model_id=logged.model_id,
            tags={_SHA: run.sha256, _FINGERPRINT: run.bundle.fingerprint, _VERIFIED: _GOLDEN},
            description=" ".join((*run.bundle.verdict.refusals, *run.bundle.verdict.remarks)),
        )
        client.set_registered_model_alias(name, _CHALLENGER, version.version)
        return str(version.version)


def champion_version(settings: Settings, target_name: str) -> str | None:
    """Version of the champion, or None where there is none."""
    identity = champion_identity(settings, target_name)
    return None if identity is None else identity[0]


def champion_identity(settings: Settings, target_name: str) -> tuple[str, str] | None:
    """Version and bundle SHA-256 of the champion, or None where there is none.

    Raises
    ------
    DependencyError
        When the registry cannot be read.
    """
    if not _database(settings).exists():
        return None
    with _mlflow() as mlflow:
        found = _by_alias(_client(mlflow, settings), target(target_name, settings).registered_name, _CHAMPION)
        return None if found is None else (str(found.version), str(found.tags.get(_SHA, "")))


def champion(settings: Settings, target_name: str) -> Champion:
    """The target's champion; its bundle is copied to ``home/bundles/<sha256>/`` once and verified every time.

    Raises
    ------
    DependencyError
        When there is no champion.
    BundleError
        When the bundle is not the one that was registered.
    """
    name = target(target_name, settings).registered_name
    if _database(settings).exists():
        with _mlflow() as mlflow:
            client = _client(mlflow, settings)
            found = _by_alias(client, name, _CHAMPION)
            if found is not None:
                return _local(mlflow, settings, found)
    raise DependencyError(
        f"{name} has no champion in {_database(settings).parent}. "
        f"Run `bellwether train --target {target_name}`, then `bellwether promote --target {target_name}`."
    )


def champions(settings: Settings) -> dict[str, Champion]:
    """Every target that has a champion, in the order of :data:`training.targets.TARGETS`."""
    return {name: champion(settings, name) for name in TARGETS if champion_version(settings, name) is not None}


def is_migrated(settings: Settings) -> bool:
    """Whether the database has the schema of the installed MLflow; true where there is none yet.

    Raises
    ------
    DependencyError
        When it cannot be read.
    """
    if not _database(settings).exists():
        return True
    with _mlflow():
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(tracking_address(settings))
        try:
            return bool(utils._get_schema_version(engine) == utils._get_latest_schema_revision())  # noqa: SLF001
        finally:
            engine.dispose()


def upgrade(settings: Settings) -> None:
    """Bring the database to the installed MLflow's schema; a copy of it is kept beside it.

    Raises
    ------
    LockHeldError
        When another process is registering.
    DependencyError
        When it cannot be brought there.
    """
    with exclusive_lock(settings.home / "mlflow"), _mlflow():
        from mlflow.store.db import utils

        if is_migrated(settings):
            return
        shutil.copyfile(_database(settings), _database(settings).with_name("mlflow.before-upgrade.db"))
        engine = utils.create_sqlalchemy_engine(tracking_address(settings))
        try:
            utils._upgrade_db(engine)  # noqa: SLF001 - what `mlflow db upgrade` calls
        finally:
            engine.dispose()


def standing(settings: Settings, target_name: str) -> Standing:
    """What the registry holds of a target.

    Raises
    ------
    DependencyError
        When it cannot be read.
    """
    name = target(target_name, settings).registered_name
    if not _database(settings).exists():
        return Standing(name, (), {})
    with _mlflow() as mlflow:
        client = _client(mlflow, settings)
        versions = tuple(sorted(str(one.version) for one in client.search_model_versions(f"name='{name}'")))
        aliases = {
            alias: str(version)
            for model in client.search_registered_models(filter_string=f"name='{name}'")
            for alias, version in model.aliases.items()
        }
    return Standing(name, versions, aliases)


def drop_alias(settings: Settings, name: str, alias: str) -> None:
    """Take an alias away, as one that points to a version that is gone.

    Raises
    ------
    LockHeldError
        When another process is registering.
    """
    with exclusive_lock(settings.home / "mlflow"), _mlflow() as mlflow:
        _client(mlflow, settings).delete_registered_model_alias(name, alias)


def artifacts_of(settings: Settings, target_name: str) -> Path | None:
    """The folder of the champion's bundle among the registry's artifacts; None where there is no champion.

    Raises
    ------
    DependencyError
        When the registry cannot be read.
    """
    if not _database(settings).exists():
        return None
    with _mlflow() as mlflow:
        found = _by_alias(_client(mlflow, settings), target(target_name, settings).registered_name, _CHAMPION)
        if found is None:
            return None
        return Path(unquote(urlsplit(_run_artifacts(mlflow, settings, found)).path)) / "bundle"


def promote(
    settings: Settings, target_name: str, *, version: str | None = None, expect_current: str | None = None
) -> PromoteReport:
    """Make a version the champion, if the gate lets it: the challenger, or the one asked for.

    ``expect_current`` is the champion the caller believes in (``none`` for no champion): a compare-and-set under the
    registry's lock, which MLflow itself does not have. A version that has been champion before has passed the gate
    before; going back to it asks only that its bundle still verifies.

    Raises
    ------
    GateRefusedError
        Saying why; the champion stays. An error while checking is a refusal too.
    InputError
        When there is no such version.
    DependencyError
        When nothing was ever registered.
    """
    name = target(target_name, settings).registered_name
    if not _database(settings).exists():
        raise DependencyError(f"No model is registered yet. Run `bellwether train --target {target_name}` first.")
    with exclusive_lock(settings.home / "mlflow"), _mlflow() as mlflow:
        relocate(settings)
        client = _client(mlflow, settings)
        candidate = _by_alias(client, name, _CHALLENGER) if version is None else _by_number(client, name, version)
        if candidate is None:
            asked = "challenger" if version is None else f"version {version}"
            raise InputError(f"{name} has no {asked}. Run `bellwether train --target {target_name}` to make one.")
        current = _by_alias(client, name, _CHAMPION)
        previous = None if current is None else str(current.version)
        if expect_current is not None and expect_current != (previous or "none"):
            raise GateRefusedError(
                f"The champion of {name} is {_said(previous)}, not version {expect_current}. "
                "Look at it, then promote again."
            )
        remarks = _passed(mlflow, settings, candidate, current)
        before, after = _declared(mlflow, settings, current), _declared(mlflow, settings, candidate)
        sets_read(settings, target_name, [*before, *after])  # a killed run leaves both to be built and served
        client.set_model_version_tag(name, candidate.version, _WAS_CHAMPION, "true")
        client.set_registered_model_alias(name, _CHAMPION, candidate.version)
        sets_read(settings, target_name, after)
        if after:
            remarks = (*remarks, *left_out(settings))
        return PromoteReport(name, str(candidate.version), previous, remarks)


def _declared(mlflow: Any, settings: Settings, version: Any) -> list[Mapping[str, Any]]:
    """The declared features a version reads, as JSON; none without a version, or where its bundle cannot be had."""
    if version is None:
        return []
    try:
        held = _local(mlflow, settings, version)
        declared = bundles.read(held.bundle_folder, sha256=held.sha256).declared
    except BundleError:
        return []
    return [declared] if declared else []


def _passed(mlflow: Any, settings: Settings, candidate: Any, current: Any) -> tuple[str, ...]:
    """Remarks of the gate, or its refusal."""
    who = f"{candidate.name} version {candidate.version}"
    missing = [tag for tag in (_SHA, _FINGERPRINT, _VERIFIED) if not candidate.tags.get(tag)]
    try:
        has_signature = _has_signature(mlflow, settings, candidate)
        local = _local(mlflow, settings, candidate)
        bundles.check_apart(local.bundle_folder, sha256=local.sha256)
        bundle = bundles.read(local.bundle_folder, sha256=local.sha256)
    except (BellwetherError, OSError, mlflow.exceptions.MlflowException) as error:
        raise GateRefusedError(f"{who} could not be checked, which is a refusal: {error}") from error
    if missing or not has_signature:
        lacking = listed(missing if has_signature else [*missing, "signature"])
        raise GateRefusedError(f"{who} lacks {lacking}. Train it again with `bellwether train`.")
    if bundle.fingerprint != candidate.tags[_FINGERPRINT]:
        raise GateRefusedError(f"{who} was trained on another dataset than its tag says. Train it again.")
    if candidate.tags.get(_WAS_CHAMPION):
        return (f"{who} has been champion before.", *bundle.verdict.remarks)
    if bundle.verdict.refusals:
        raise GateRefusedError(f"{who} is refused. {' '.join(bundle.verdict.refusals)}")
    remarks = bundle.verdict.remarks
    if current is not None and bundle.verdict.champion != str(current.version):
        try:
            held = _local(mlflow, settings, current)
            rival = bundles.read(held.bundle_folder, sha256=held.sha256)
        except BundleError as error:
            # A champion that nobody can load answers for nobody: it must not keep its successor away.
            return (
                *remarks,
                f"The champion, version {current.version}, cannot be read, so nothing was compared: {error}",
            )
        if (rival.recipe, rival.service) != (bundle.recipe, bundle.service):
            raise GateRefusedError(
                f"{who} was never compared with the champion, version {current.version}, whose recipe is another. "
                f"Run `bellwether train --target {bundle.target}` again; it compares them on the same rows."
            )
        remarks = (*remarks, f"Same recipe as the champion, version {current.version}, on other data.")
    return remarks


def _local(mlflow: Any, settings: Settings, version: Any) -> Champion:
    sha256 = version.tags.get(_SHA)
    if not sha256:
        raise BundleError(f"{version.name} version {version.version} carries no bundle. Train it again.")
    folder = settings.home / "bundles" / sha256
    try:
        bundles.read(folder, sha256=sha256)
    except BundleError:
        _fetch(mlflow, settings, version, folder)
    return Champion(version.name, str(version.version), folder, sha256)


def _fetch(mlflow: Any, settings: Settings, version: Any, folder: Path) -> None:
    """Put a verified copy of the version's bundle into ``folder``, in place of one that is missing or damaged."""
    draft = folder.parent / f".draft-{uuid.uuid4().hex}"
    try:
        draft.mkdir(parents=True)
        source = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{_run_artifacts(mlflow, settings, version)}/bundle", dst_path=str(draft)
        )
        bundles.read(Path(source), sha256=folder.name)
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


def _run_artifacts(mlflow: Any, settings: Settings, version: Any) -> str:
    # The database remembers where the home was; the artifacts moved with it.
    return address_here(settings, str(_client(mlflow, settings).get_run(version.run_id).info.artifact_uri))


def _has_signature(mlflow: Any, settings: Settings, version: Any) -> bool:
    source = _client(mlflow, settings).get_model_version_download_uri(version.name, version.version)
    # Model.load takes no file: address; the download of a local artifact gives its path.
    folder = mlflow.artifacts.download_artifacts(artifact_uri=source)
    return mlflow.models.Model.load(folder).signature is not None


def _experiment(client: Any, settings: Settings, name: str) -> str:
    """The target's experiment; without an explicit location artifacts would go to ``./mlruns``."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(
        client.create_experiment(name, artifact_location=(settings.home / "mlflow" / "artifacts" / name).as_uri())
    )


def _named(client: Any, name: str) -> None:
    if not client.search_registered_models(filter_string=f"name='{name}'"):
        client.create_registered_model(name)


def _by_alias(client: Any, name: str, alias: str) -> Any:
    """The version an alias points to, or None; MLflow raises for a missing alias and a missing model alike."""
    for model in client.search_registered_models(filter_string=f"name='{name}'"):
        if alias in model.aliases:
            return client.get_model_version(name, model.aliases[alias])
    return None


def _by_number(client: Any, name: str, version: str) -> Any:
    found = client.search_model_versions(f"name='{name}'")
    return next((client.get_model_version(name, one.version) for one in found if str(one.version) == version), None)


def _said(version: str | None) -> str:
    return "nobody" if version is None else f"version {version}"


def _database(settings: Settings) -> Path:
    return settings.home / "mlflow" / "mlflow.db"


def _made(settings: Settings) -> None:
    try:
        (settings.home / "mlflow" / "artifacts").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{settings.home} cannot be written: {error.strerror}. Choose another with --home.") from error


def _client(mlflow: Any, settings: Settings) -> Any:
    address = tracking_address(settings)
    return mlflow.MlflowClient(tracking_uri=address, registry_uri=address)


@contextmanager
def _mlflow() -> Iterator[Any]:
    """MLflow, imported late and kept quiet: it logs each migration and draws progress bars over ours."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between MLflow and its own dependencies
        import mlflow
        import mlflow.lightgbm
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield mlflow
        except (mlflow.exceptions.MlflowException, SQLAlchemyError) as error:
            reason = (str(getattr(error, "orig", error)).strip().splitlines() or ["no reason given"])[0]
            raise DependencyError(
                f"The registry cannot be used: {reason}. Restore mlflow/mlflow.db under the home from a backup, or "
                "move the folder mlflow away and train again."
            ) from error
