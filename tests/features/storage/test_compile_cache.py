"""What was compiled is kept, and compiled again as soon as anything it was made of differs."""

import json

import ibis
import pytest

from features.engine.prepared import Prepared
from features.formulas import histogram
from features.storage import compile_cache as module
from features.storage.compile_cache import compiled

COLUMNS = {"account_id": "string", "cutoff": "timestamp('UTC', 6)", "calls": "!int64"}


@pytest.fixture
def compile_in_new_process(tmp_path, monkeypatch):
    """Asks for something compiled as a process does that knows nothing yet; says whether it had to compile."""

    def ask(arguments=1, path=tmp_path / "compiled" / "one.json"):
        monkeypatch.setattr(module, "_IN_THIS_PROCESS", {})
        times = []

        def make():
            times.append(1)
            return {"groups.usage": Prepared(f"SELECT {arguments}", ibis.schema(COLUMNS))}

        made = compiled(path, arguments, make)
        assert made == {"groups.usage": Prepared(f"SELECT {arguments}", ibis.schema(COLUMNS))}
        return bool(times)

    return ask


def test_a_new_process_takes_it_from_the_file(compile_in_new_process):
    assert [compile_in_new_process() for _ in range(3)] == [True, False, False]


def test_a_process_compiles_once_for_many_homes(tmp_path):
    times = []

    def make():
        times.append(1)
        return {}

    for home in ("a", "b"):
        compiled(tmp_path / home / "one.json", "many homes", make)
    assert times == [1]


def test_other_arguments_are_other_expressions(compile_in_new_process):
    assert [compile_in_new_process(arguments) for arguments in (1, 2, 2, 1)] == [True, True, False, True]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text().replace("SELECT 1", "SELECT 9")),
        lambda path: path.write_bytes(path.read_bytes()[:60]),
        lambda path: path.write_text(json.dumps([1])),
        lambda path: path.unlink(),
    ],
)
def test_a_file_that_is_damaged_is_not_used(compile_in_new_process, tmp_path, damage):
    compile_in_new_process()
    damage(tmp_path / "compiled" / "one.json")
    assert [compile_in_new_process() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("part", "other"), [("_COMPILERS", ["0.0.1", "0.0.2"]), ("_LOADED", "other code")])
def test_another_compiler_or_other_code_compiles_again(compile_in_new_process, monkeypatch, part, other):
    compile_in_new_process()
    monkeypatch.setattr(module, part, other)
    assert compile_in_new_process()


def test_a_process_whose_files_were_updated_neither_reads_nor_writes(compile_in_new_process, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_files", lambda: "newer text")
    assert [compile_in_new_process() for _ in range(2)] == [True, True]
    assert not (tmp_path / "compiled").exists()


def test_the_code_is_told_by_the_text_of_every_module(tmp_path):
    (tmp_path / "groups").mkdir()
    seen = [module._files(tmp_path)]
    for text in ("DAYS = 7\n", "DAYS = 8\n"):
        (tmp_path / "groups/usage.py").write_text(text)
        seen.append(module._files(tmp_path))
    assert len(set(seen)) == 3
    assert module._files() == module._LOADED


def test_a_function_or_a_number_in_the_place_of_another_is_other_code(monkeypatch):
    before = module._standing_in(histogram)
    monkeypatch.setattr(histogram, "nearest_rank", lambda count, percent: count)
    with_function = module._standing_in(histogram)
    monkeypatch.setattr(histogram, "another_number", 7, raising=False)
    assert before != with_function != module._standing_in(histogram)


def test_a_function_in_the_place_of_another_in_a_table_is_other_code(monkeypatch):
    from features.groups import all as groups

    before = module._standing_in(groups)
    monkeypatch.setitem(groups.GROUPS, "usage", test_other_arguments_are_other_expressions)
    assert module._standing_in(groups) != before
