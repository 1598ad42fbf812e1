"""What the contracts of import-linter in ``pyproject.toml`` cannot say of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "training", "serving")
SPELL_PATHS = ("features/home/", "features/settings/", "features/simulator/")
MOST_SETTINGS = 60
LONGEST_MODULE = 350


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_every_module_says_what_it_is_for():
    assert [name for name, tree in modules() if not ast.get_docstring(tree)] == []


def test_every_module_says_one_thing():
    lines = {name: (ROOT / name).read_text(encoding="utf-8").count("\n") for name, _ in modules()}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_only_windows_does_date_arithmetic_with_literal_days():
    """A ``timedelta(days=…)`` elsewhere would be a second place that knows what a window is."""
    offenders = [
        name
        for name, tree in modules()
        if name != "features/windows.py" and "simulator" not in name
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "timedelta"
        and any(keyword.arg in {"days", "weeks"} for keyword in node.keywords)
    ]
    assert offenders == []


def test_the_feature_repository_holds_two_files_and_nobody_imports_it():
    """``feast apply`` imports every file of its folder as a top-level module."""
    files = {path.name for path in (ROOT / "features" / "feature_repo").iterdir() if path.name != "__pycache__"}
    assert files == {"feature_store.yaml", "definitions.py"}
    readers = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import) and "feature_repo" in ast.unparse(node)
    ]
    assert readers == []


def test_settings_are_handed_to_few():
    """A home is one object: below it functions take the store, the catalogue or the numbers they use."""
    takers = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg == "settings"
    ]
    assert len(takers) < MOST_SETTINGS, takers


def test_no_path_of_the_home_is_spelt_outside_it():
    spelt = re.compile(r"""(?:\bhome|\bhome\.root|settings\.home) / f?["'][^"']+["']""")
    offenders = [
        f"{name}: {line.strip()}"
        for name, _ in modules()
        if not name.startswith(SPELL_PATHS)
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if spelt.search(line)
    ]
    assert offenders == []
