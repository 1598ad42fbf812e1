"""How errors of MLflow are told."""

from training.registry.mlflow_client import _told


def test_the_cause_is_told_and_not_what_sqlalchemy_says_of_its_session() -> None:
    remark = "(raised as a result of Query-invoked autoflush; consider using a block)"
    cause = "(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: UPDATE runs]"
    told = _told(RuntimeError(f"{remark}\n{cause}"))
    assert told.startswith("The registry cannot be used: attempt to write a readonly database. Restore mlflow/")
