"""The model registry: the only door to MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.home.home import Home
from features.storage.database import give_id
from features.storage.lock import exclusive_lock
from training.labels.targets import target
from training.models.bundle import Bundle
from training.models.verify import check_apart, load_booster
from training.registry.addresses import relocate
from training.registry.contests import note_judged
from training.registry.mlflow_client import (
    BUNDLE_SHA256,
    CHALLENGER,
    DATASET_FINGERPRINT,
    RULE_BESIDE,
    RULE_SHA256,
    VERDICT,
    VERIFICATION,
    WAS_CHAMPION,
    client_of,
    ensure_folder,
    ensure_model,
    experiment_id,
    is_begun,
    opened_mlflow,
    tracking_address,
)
from training.registry.run_figures import run_metrics, run_name, run_tags, whole_span

if TYPE_CHECKING:
    import lightgbm as lgb
    import pandas as pd

__all__ = ["Standing", "TrainedRule", "TrainingRun", "drop_alias", "register", "standing"]

_GOLDEN = "golden rows"
_LONGEST_DIGEST = 36  # letters, MLflow's limit


@dataclass(frozen=True)
class TrainedRule:
    """The best counting rule of a training: its words, and a folder with its bundle and its card."""

    title: str
    folder: Path
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
    rule
        The rule that may be promoted in its place; None where none could be learnt.
    """

    target: str
    bundle: Bundle
    bundle_folder: Path
    sha256: str
    pictures: Path
    example: "pd.DataFrame"
    parameters: Mapping[str, object]
    requirements: Sequence[str]
    rule: TrainedRule | None = None


@dataclass(frozen=True)
class Standing:
    """What the registry holds of a target: versions, those that were champion, and which version each alias names."""

    name: str
    versions: tuple[str, ...]
    were_champion: tuple[str, ...]
    aliases: Mapping[str, str]

    @property
    def lost_aliases(self) -> tuple[str, ...]:
        """Aliases of versions that are gone."""
        return tuple(alias for alias, version in self.aliases.items() if version not in self.versions)


def register(home: Home, run: TrainingRun) -> str:
    """Log a training run and register its model as the challenger; returns the version.

    The bundle is first loaded in a process of its own and gives its golden margins, or nothing is registered.

    Raises
    ------
    BundleError
        When the bundle does not load.
    LockHeldError
        When another process is registering.
    """
    check_apart(run.bundle_folder, sha256=run.sha256)
    booster = load_booster(run.bundle)
    name = target(run.target, home).registered_name
    ensure_folder(home)
    with exclusive_lock(home.mlflow), opened_mlflow() as mlflow:
        relocate(home)
        client = client_of(mlflow, home)
        mlflow.set_tracking_uri(tracking_address(home))
        # An explicit run: `mlflow run` sets MLFLOW_RUN_ID, which belongs to another store.
        created = client.create_run(experiment_id(client, home, name), run_name=run_name(run.bundle))
        run_id, version = created.info.run_id, None
        try:
            model = _logged(mlflow, run, booster, run_id)
            ensure_model(client, name)
            version = client.create_model_version(
                name,
                source=model.model_uri,
                run_id=run_id,
                model_id=model.model_id,
                tags={
                    BUNDLE_SHA256: run.sha256,
                    DATASET_FINGERPRINT: run.bundle.fingerprint,
                    VERIFICATION: _GOLDEN,
                    VERDICT: run.bundle.verdict.answer,
                    **({} if run.rule is None else {RULE_SHA256: run.rule.sha256, RULE_BESIDE: run.rule.title}),
                },
                description=" ".join([*run.bundle.verdict.sentences, *_halves(run.bundle)]),
            )
            note_judged(client, name, run.bundle)
            client.set_registered_model_alias(name, CHALLENGER, version.version)
            give_id(home.mlflow_database)
        except BaseException:  # Ctrl-C too: half a registration would be found by whoever looks next
            if version is not None:
                client.delete_model_version(name, version.version)
            client.delete_run(run_id)
            raise
        return str(version.version)


def _halves(bundle: Bundle) -> list[str]:
    """What somebody who loads the logged model must know where it is not all there is."""
    if bundle.scorecard is None:
        return []
    return [f"{bundle.stack.in_words} The logged model is the trees alone; the bundle has both."]


def _logged(mlflow: Any, run: TrainingRun, booster: "lgb.Booster", run_id: str) -> Any:
    """Everything a run leaves; returns the logged model."""
    signature = mlflow.models.infer_signature(run.example.astype("float64"), run.example.iloc[:, 0] * 0.5)
    with mlflow.start_run(run_id=run_id):
        mlflow.log_params(dict(run.parameters))
        mlflow.log_metrics(run_metrics(run.bundle))
        mlflow.set_tags(run_tags(run.bundle))
        mlflow.log_input(_dataset(run.bundle, signature.inputs), context="training")
        mlflow.log_artifacts(str(run.bundle_folder), "bundle")
        mlflow.log_artifacts(str(run.pictures))
        if run.rule is not None:
            mlflow.log_artifacts(str(run.rule.folder), "rule")
        return mlflow.lightgbm.log_model(
            booster, name="model", signature=signature, pip_requirements=list(run.requirements)
        )


def _dataset(bundle: Bundle, columns: Any) -> Any:
    """The rows a model was fitted on, as MLflow keeps them: a name, their fingerprint, and the columns; no values."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    first, last = whole_span(bundle)
    source = CodeDatasetSource(tags={"service": bundle.service, "fingerprint": bundle.fingerprint})
    name = f"{bundle.service} {first} to {last}"
    return MetaDataset(source, name=name, digest=bundle.fingerprint[:_LONGEST_DIGEST], schema=columns)


def standing(home: Home, target_name: str) -> Standing:
    """What the registry holds of a target.

    Raises
    ------
    DependencyError
        When it cannot be read.
    """
    name = target(target_name, home).registered_name
    if not is_begun(home):
        return Standing(name, (), (), {})
    with opened_mlflow() as mlflow:
        client = client_of(mlflow, home)
        registered = sorted(client.search_model_versions(f"name='{name}'"), key=lambda version: int(version.version))
        versions = tuple(str(version.version) for version in registered)
        were_champion = tuple(str(version.version) for version in registered if WAS_CHAMPION in version.tags)
        aliases = {
            alias: str(version)
            for model in client.search_registered_models(filter_string=f"name='{name}'")
            for alias, version in model.aliases.items()
        }
    return Standing(name, versions, were_champion, aliases)


def drop_alias(home: Home, name: str, alias: str) -> None:
    """Take an alias away, as one that points to a version that is gone.

    Raises
    ------
    LockHeldError
        When another process is registering.
    """
    with exclusive_lock(home.mlflow), opened_mlflow() as mlflow:
        client_of(mlflow, home).delete_registered_model_alias(name, alias)
