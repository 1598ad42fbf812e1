"""Imports point one way, each outside library has its one door, and nothing can unpickle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "training", "serving")
MAY_IMPORT = {"features": {"features"}, "training": {"features", "training"}, "serving": set(ROOMS)}
DOORS = {
    "feast": {"features/feature_store/store.py", "features/feature_repo/definitions.py"},
    "mlflow": {"training/registry/registry.py"},
    "bentoml": {"serving/service.py"},
    "duckdb": {"features/engine/duckdb_engine.py"},
    "pyspark": {"features/engine/spark_engine.py"},
    "py4j": {"features/engine/spark_engine.py"},
    "shap": {"training/judging/report.py"},
}
UNPICKLERS = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
SERVING_MAY_USE = {"targets", "bundle", "registry", "explain"}
COMMAND_LINES = {"serving/cli.py", "serving/demo.py", "serving/doctor.py", "serving/quality.py"}


def modules() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full dotted names a file imports, inside functions as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_module = pytest.mark.parametrize("path", list(modules()), ids=name_of)


@every_module
def test_imports_point_from_serving_to_training_to_features(path: Path) -> None:
    room = name_of(path).split("/")[0]
    used = {name.split(".")[0] for name in imports(path)} & set(ROOMS)
    assert used <= MAY_IMPORT[room]


@every_module
def test_each_outside_library_has_one_door(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    behind = {library for library, doors in DOORS.items() if name_of(path) not in doors}
    assert not used & behind


@every_module
def test_nothing_imports_what_can_unpickle(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & UNPICKLERS


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if name_of(path).startswith("serving/") and name_of(path) not in COMMAND_LINES],
    ids=name_of,
)
def test_serving_uses_only_the_parts_of_training_meant_for_it(path: Path) -> None:
    used = {name.split(".")[1] for name in imports(path) if name.startswith("training.")}
    assert used <= SERVING_MAY_USE


@every_module
def test_nobody_imports_the_feature_repository(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("features.feature_repo")]


def test_the_simulator_imports_only_schema_windows_progress_and_exceptions() -> None:
    allowed = {"schema", "simulator", "exceptions", "windows", "progress"}
    for path in sorted((ROOT / "features" / "simulator").glob("*.py")):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("features.")}
        assert used <= allowed, path


def test_the_feature_repository_holds_two_files() -> None:
    files = {path.name for path in (ROOT / "features" / "feature_repo").iterdir() if path.name != "__pycache__"}
    assert files == {"feature_store.yaml", "definitions.py"}


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if name_of(path) != "features/windows.py" and "simulator" not in name_of(path)],
    ids=name_of,
)
def test_only_windows_does_date_arithmetic_with_literal_days(path: Path) -> None:
    """A ``timedelta(days=…)`` elsewhere would be a second place that knows what a window is."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "timedelta"
        and any(keyword.arg in {"days", "weeks"} for keyword in node.keywords)
    ]
    assert not calls


@every_module
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
