"""What every process does first: one time zone, one thread of linear algebra, no telemetry, no file for others."""

import os
import time

__all__ = ["start"]

_ENVIRONMENT = {
    # Feast's SQLite adapters and several drivers read the local zone.
    "TZ": "UTC",
    "DO_NOT_TRACK": "true",
    "FEAST_USAGE": "False",
    "FEAST_TELEMETRY": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    # A text booster still loads with this set; nothing pickled does.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def start() -> None:
    """Set the process up; call it before NumPy, Feast, MLflow or BentoML is imported.

    Safe to call more than once. Every entry point (command line, service, notebook, MLproject
    command, test session) calls it.
    """
    os.environ.update(_ENVIRONMENT)
    # Our matrices are small: threads of OpenBLAS mostly wait for each other. LightGBM has its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    time.tzset()
    os.umask(0o077)  # whatever is written names customers
