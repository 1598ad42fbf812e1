"""What is dealt together exists, and every test belongs to one group."""

from pathlib import Path
from types import SimpleNamespace

from tests.dealing import TOGETHER, group_of, in_order

HERE = Path(__file__).parent


def test_every_file_that_is_named_is_there_and_named_once():
    files = [file for files in TOGETHER for file in files]
    assert [file for file in files if not (HERE / file).is_file()] == []
    assert len(set(files)) == len(files)


def test_the_long_ones_come_first():
    (first, second, *_), *_, (last, *_) = TOGETHER
    given = ["a.py", last, "b.py", second, first, "a.py"]
    items = in_order([SimpleNamespace(path=HERE / file, file=file) for file in given])
    assert [item.file for item in items] == [first, second, last, "a.py", "b.py", "a.py"]


def test_modules_with_doctests_come_last():
    (first, *_), *_ = TOGETHER
    module, test = HERE.parent / "features" / "windows.py", HERE / first
    assert [item.path for item in in_order([SimpleNamespace(path=module), SimpleNamespace(path=test)])] == [
        test,
        module,
    ]


def test_what_shares_a_fixture_has_one_group():
    (first, second, *_), *_, (last, *_) = TOGETHER
    assert group_of(f"tests/{first}") == group_of(f"tests/{second}") != group_of(f"tests/{last}")
    assert group_of("tests/a.py") == "tests/a.py"


def test_what_is_left_to_the_delivery_stands_in_groups_of_its_own():
    is_delivery = {file: "mark.delivery" in (HERE / file).read_text() for files in TOGETHER for file in files}
    assert sum(is_delivery.values()) == 6
    assert all(len({is_delivery[file] for file in files}) == 1 for files in TOGETHER)
    everywhere = {
        path for path in HERE.rglob("test_*.py") if path != Path(__file__) and "mark.delivery" in path.read_text()
    }
    assert everywhere == {HERE / file for file, marked in is_delivery.items() if marked}
