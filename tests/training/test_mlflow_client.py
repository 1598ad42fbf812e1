"""How errors of MLflow are told."""

import sqlite3

import pytest

from features.exceptions import DependencyError
from training.registry.mlflow_client import opened_mlflow


def test_the_cause_is_told_and_not_what_sqlalchemy_says_of_its_session() -> None:
    remark = "(raised as a result of Query-invoked autoflush; consider using a block)"
    with pytest.raises(DependencyError) as told, opened_mlflow() as mlflow:
        raise mlflow.exceptions.MlflowException(f"{remark}\nthe disk went away\n[SQL: UPDATE runs]")
    assert str(told.value).startswith(
        "The registry mlflow/mlflow.db under the home cannot be used: the disk went away. "
    )


def test_what_sqlite_refused_is_told_in_plain_words() -> None:
    refused = sqlite3.OperationalError("attempt to write a readonly database")
    refused.sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED
    with (
        pytest.raises(DependencyError, match=r"mlflow\.db under the home cannot be written\. Restore"),
        opened_mlflow() as mlflow,
    ):
        raise mlflow.exceptions.MlflowException("(sqlite3.OperationalError) attempt to write") from refused
