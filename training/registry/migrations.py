"""Makes and upgrades MLflow's database."""

import shutil
from typing import TYPE_CHECKING

from features.home.home import Home
from features.storage.database import give_id
from features.storage.lock import exclusive_lock
from training.registry.mlflow_client import (
    client_of,
    database_file,
    ensure_folder,
    is_begun,
    opened_mlflow,
    tracking_address,
)

if TYPE_CHECKING:
    pass

__all__ = ["is_migrated", "migrate", "upgrade"]


def migrate(home: Home) -> None:
    """Make the registry's database, or bring it to the installed MLflow's schema.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    ensure_folder(home)
    with opened_mlflow() as mlflow:
        client_of(mlflow, home).search_experiments(max_results=1)
    give_id(database_file(home))


def is_migrated(home: Home) -> bool:
    """Whether the database has the schema of the installed MLflow; true where there is none yet.

    Raises
    ------
    DependencyError
        When it cannot be read.
    """
    if not is_begun(home):
        return True
    with opened_mlflow():
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(tracking_address(home))
        try:
            return bool(utils._get_schema_version(engine) == utils._get_latest_schema_revision())  # noqa: SLF001
        finally:
            engine.dispose()


def upgrade(home: Home) -> None:
    """Bring the database to the installed MLflow's schema; a copy of it is kept beside it.

    Raises
    ------
    LockHeldError
        When another process is registering.
    DependencyError
        When it cannot be brought there.
    """
    with exclusive_lock(home.mlflow), opened_mlflow():
        from mlflow.store.db import utils

        if is_migrated(home):
            return
        shutil.copyfile(database_file(home), database_file(home).with_name("mlflow.before-upgrade.db"))
        engine = utils.create_sqlalchemy_engine(tracking_address(home))
        try:
            utils._upgrade_db(engine)  # noqa: SLF001 - what `mlflow db upgrade` calls
        finally:
            engine.dispose()
