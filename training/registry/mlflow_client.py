"""MLflow's client, made lazily and asked in our words."""

import logging
import os
import re
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.exceptions import DependencyError, InputError
from features.home.home import Home
from features.paths import sqlite_url
from features.storage.sqlite_words import is_held, sqlite_fault

if TYPE_CHECKING:
    pass

__all__ = [
    "BUNDLE_SHA256",
    "CHALLENGER",
    "CHAMPION",
    "DATASET_FINGERPRINT",
    "KIND",
    "RULE",
    "RULE_BESIDE",
    "RULE_SHA256",
    "VERDICT",
    "VERIFICATION",
    "WAS_CHAMPION",
    "client_of",
    "database_file",
    "ensure_folder",
    "ensure_model",
    "experiment_id",
    "forget_connections",
    "is_begun",
    "opened_mlflow",
    "tracking_address",
    "ui_command",
    "version_by_alias",
    "version_by_number",
]


CHAMPION = "champion"
CHALLENGER = "challenger"
BUNDLE_SHA256 = "bundle_sha256"
DATASET_FINGERPRINT = "dataset_fingerprint"
VERIFICATION = "verification"
VERDICT = "verdict"
WAS_CHAMPION = "was_champion"
KIND, RULE = "kind", "rule"
RULE_BESIDE, RULE_SHA256 = "rule_beside", "rule_sha256"
_KIND = {"mlflow.experimentKind": "custom_model_development"}

# What MLflow says of a database that another version wrote, and Alembic, which migrates it, of one it has not heard of.
_OTHER_SCHEMA = re.compile(r"(?:found version |Can't locate revision identified by ')([0-9a-f]+)")

# What SQLAlchemy says before the cause: of its session, and the class of the cause.
_REMARKS = re.compile(r"\(raised as a result of [^\n]*\n|^\(sqlite3\.\w+\) ", re.MULTILINE)


def tracking_address(home: Home) -> str:
    """Where MLflow keeps runs and models."""
    return sqlite_url(home.mlflow_database)


def ui_command(home: Home) -> str:
    """The line that opens the MLflow UI; MLflow asks nobody who they are."""
    return f"mlflow ui --backend-store-uri {shlex.quote(tracking_address(home))} --host 127.0.0.1 --port 5000"


def experiment_id(client: Any, home: Home, name: str) -> str:
    """The target's experiment; without an explicit location artifacts would go to ``./mlruns``.

    MLflow opens it at its table of runs; without that tag, at what it has for language models.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = (home.mlflow_artifacts / name).as_uri()
        return str(client.create_experiment(name, artifact_location=location, tags=_KIND))
    for tag, value in _KIND.items():
        if experiment.tags.get(tag) != value:
            client.set_experiment_tag(experiment.experiment_id, tag, value)
    return str(experiment.experiment_id)


def ensure_model(client: Any, name: str) -> None:
    """Register the model's name, where it is not yet."""
    if not client.search_registered_models(filter_string=f"name='{name}'"):
        client.create_registered_model(name)


def version_by_alias(client: Any, name: str, alias: str) -> Any:
    """The version an alias points to, or None; MLflow raises for a missing alias and a missing model alike."""
    for model in client.search_registered_models(filter_string=f"name='{name}'"):
        if alias in model.aliases:
            return client.get_model_version(name, model.aliases[alias])
    return None


def version_by_number(client: Any, name: str, version: str) -> Any:
    """The version of that number, or None."""
    versions = client.search_model_versions(f"name='{name}'")
    return next(
        (
            client.get_model_version(name, candidate.version)
            for candidate in versions
            if str(candidate.version) == version
        ),
        None,
    )


def database_file(home: Home) -> Path:
    """The SQLite file of the embedded registry."""
    return home.mlflow_database


def is_begun(home: Home) -> bool:
    """Whether the registry holds anything; MLflow makes a new one of an empty file that it reads."""
    database = home.mlflow_database
    return database.is_file() and database.stat().st_size > 0


def ensure_folder(home: Home) -> None:
    """Make the registry's folder.

    Raises
    ------
    InputError
        When the home cannot be written.
    """
    try:
        (home.mlflow_artifacts).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{home.root} cannot be written: {error.strerror}. Choose another with --home.") from error


def client_of(mlflow: Any, home: Home) -> Any:
    """MLflow's client on the home's registry."""
    address = tracking_address(home)
    return mlflow.MlflowClient(tracking_uri=address, registry_uri=address)


def forget_connections(home: Home) -> None:
    """Close MLflow's connections to the registry: it keeps them for the process, whatever takes the file's place."""
    with opened_mlflow():
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Models
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

        for kept in (Runs._engine_map, Models._engine_map):  # noqa: SLF001 - there is no other way to them
            if (engine := kept.get(tracking_address(home))) is not None:
                engine.dispose()


@contextmanager
def opened_mlflow() -> Iterator[Any]:
    """MLflow, imported late and kept quiet: it logs each migration and draws progress bars over ours."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between MLflow and its own dependencies
        import mlflow
        import mlflow.lightgbm
        from alembic.util.exc import CommandError
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield mlflow
        except (mlflow.exceptions.MlflowException, SQLAlchemyError, CommandError) as error:
            raise DependencyError(_told(error)) from error


def _told(error: Exception) -> str:
    """What is wrong with the registry, and what to do."""
    text = _REMARKS.sub("", str(getattr(error, "orig", error)))
    schema = _OTHER_SCHEMA.search((text.strip().splitlines() or [""])[0])
    if schema is not None:
        return (
            f"The registry mlflow/mlflow.db under the home has another MLflow's schema, {schema[1]}. If that was an "
            "older one, `bellwether doctor --repair` brings it to this one's; if a newer one, go on with that, or "
            "restore a backup from before it."
        )
    if is_held(error):
        return f"The registry mlflow/mlflow.db under the home {sqlite_fault(error)}. Wait, then run it again."
    return (
        f"The registry mlflow/mlflow.db under the home {sqlite_fault(error, reason=text)}. Restore it from a backup, "
        "or move the folder mlflow away and train again."
    )
