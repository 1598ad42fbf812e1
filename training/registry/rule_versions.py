"""Registers the rule that a training left beside its model, so that it can be promoted like one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.exceptions import GateRefusedError
from features.home.home import Home
from features.storage.passing import passing_folder
from training.models import bundle as bundles
from training.models.bundle import Bundle, BundleError
from training.registry.champions import local_copy, run_artifacts
from training.registry.mlflow_client import (
    BUNDLE_SHA256,
    DATASET_FINGERPRINT,
    KIND,
    RULE,
    RULE_BESIDE,
    RULE_SHA256,
    VERDICT,
    VERIFICATION,
    client_of,
    experiment_id,
    tracking_address,
)

if TYPE_CHECKING:
    pass

__all__ = ["refuse_over_a_model", "rule_version"]


def refuse_over_a_model(mlflow: Any, home: Home, current: Any) -> None:
    """Go on only when no model that passed the gate is champion; one that cannot be read answers for nobody.

    Raises
    ------
    GateRefusedError
        When one is.
    """
    if current is None:
        return
    try:
        local = local_copy(mlflow, home, current)
        champion = bundles.read(local.bundle_folder, sha256=local.sha256)
    except BundleError:
        return
    if champion.rule is None and champion.verdict.answer == "passes":
        raise GateRefusedError(
            f"The champion of {current.name}, version {current.version}, is a model that passed the gate, and no rule "
            f"takes its place. {champion.verdict.reason}"
        )


def rule_version(mlflow: Any, home: Home, trained: Any) -> Any:
    """The registered version of the rule of a training; ``trained`` is the version of its model.

    Promoting the rule of one training twice finds the same version. Hold the registry's lock.

    Raises
    ------
    GateRefusedError
        When the training left no rule.
    BundleError
        When the rule is not the one that was left.
    """
    name, sha256 = trained.name, trained.tags.get(RULE_SHA256)
    if not sha256:
        raise GateRefusedError(
            f"The training of {name} version {trained.version} left no rule: an earlier version of Bellwether made it, "
            "or there was too little to learn one from. Run `bellwether train` again."
        )
    client = client_of(mlflow, home)
    for version in client.search_model_versions(f"name='{name}'"):
        if version.tags.get(BUNDLE_SHA256) == sha256:
            return client.get_model_version(name, version.version)
    with passing_folder() as scratch:
        folder = Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=f"{run_artifacts(mlflow, home, trained)}/rule", dst_path=str(scratch)
            )
        )
        bundle = bundles.read(folder / "bundle", sha256=sha256)
        return _registered(mlflow, home, trained, bundle, folder)


def _registered(mlflow: Any, home: Home, trained: Any, bundle: Bundle, folder: Path) -> Any:
    """A run of its own with all the rule is, and the version made of it; all of it, or nothing."""
    client, name, title = client_of(mlflow, home), trained.name, trained.tags[RULE_BESIDE]
    mlflow.set_tracking_uri(tracking_address(home))
    told = {KIND: "rule", RULE: title}
    created = client.create_run(experiment_id(client, home, name), run_name=f"rule: {title}", tags=told)
    run_id, version = created.info.run_id, None
    try:
        (folder / "model").mkdir()
        model = mlflow.models.Model(run_id=run_id, signature=_signature(mlflow, bundle), metadata=told)
        model.save(str(folder / "model" / "MLmodel"))
        with mlflow.start_run(run_id=run_id):
            mlflow.log_params(
                {**told, "feature": bundle.features[0], "service": bundle.service, "trained_with": trained.version}
            )
            mlflow.log_metrics({key: value for key, value in bundle.metrics.items() if value is not None})
            mlflow.log_artifacts(str(folder))
        version = client.create_model_version(
            name,
            source=f"{created.info.artifact_uri}/model",
            run_id=run_id,
            tags={
                **told,
                BUNDLE_SHA256: trained.tags[RULE_SHA256],
                DATASET_FINGERPRINT: bundle.fingerprint,
                VERIFICATION: "golden rows",
                VERDICT: bundle.verdict.answer,
            },
            description=" ".join(bundle.verdict.sentences),
        )
    except BaseException:  # Ctrl-C too: half a registration would be found by whoever looks next
        if version is not None:
            client.delete_model_version(name, version.version)
        client.delete_run(run_id)
        raise
    return version


def _signature(mlflow: Any, bundle: Bundle) -> Any:
    """One number in, one probability out."""
    import pandas as pd

    example: pd.DataFrame = pd.DataFrame({bundle.features[0]: [0.5, 1.5]})
    return mlflow.models.infer_signature(example, example.iloc[:, 0] * 0.5)
