"""Whatever characters a path holds, each library reads and writes the file that is meant, and no other."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from features.engine.duckdb_engine import duckdb_engine
from features.external.files import find_files as find_table_files
from features.paths import expanded, sqlite_url
from features.settings.load import load_settings
from features.sources.files import find_files

NAMES = [
    *("a?b", "a*b", "[ab]", "[!a]", "a[b", "**", "?", "a b", "a%3Fb", "100%", "a#b", "a'b", 'a"b', "a$b", "~a", "é"),
    *("a&b+c", "a:b", "a;b", "{x,y}", "a]b", "(a)", "day=2026-01-01", "file:", "s3:", "-a", "a=b?c=d", "a,b", "a@b"),
]
SCHEMA = pa.schema([("n", pa.string())])
REFUSED = {"a\\b": "backslash", "a\nb": "control", "a\x7fb": "control", os.fsdecode(b"a\xff"): "UTF-8"}


@pytest.fixture(scope="module")
def engine():
    made = duckdb_engine(threads=1, memory_limit="512MB")
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path, request):
    """A folder of that name, beside others that a pattern or an address would take for it."""
    for name in ("axb", "x", "a", "a?b".replace("?", " ")):
        (tmp_path / name).mkdir(exist_ok=True)
        pq.write_table(pa.table({"n": [name]}), tmp_path / name / "file.parquet")
    made = tmp_path / request.param
    made.mkdir(exist_ok=True)
    return made


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_the_engine_writes_and_reads_the_file_that_is_meant(engine, folder):
    file = folder / "file.parquet"
    engine.write_parquet(engine.name_rows("rows", pa.table({"n": ["its own"]})), file)
    assert pq.read_table(file, partitioning=None).to_pylist() == [{"n": "its own"}]
    for table in (engine.read_parquet([file], schema=SCHEMA), engine.name_parquet("files", [file], schema=SCHEMA)):
        assert engine.to_arrow(table.select("n")).to_pylist() == [{"n": "its own"}]


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_an_address_of_sqlite_names_the_file_that_is_meant(folder):
    before = set(folder.parent.iterdir())
    engine = sa.create_engine(sqlite_url(folder / "file.db"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (n)"))
    engine.dispose()
    assert (folder / "file.db").stat().st_size > 0
    assert set(folder.parent.iterdir()) == before


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_files_are_found_by_their_names_and_below_folders_of_such_names(folder):
    file = folder / f"{folder.name}.csv"
    file.write_text("account_id\na\n")
    (folder.parent / "axb" / "axb.csv").write_text("account_id\na\n")
    for given in (file, folder, folder / "*.csv"):
        assert [path.relative_to(folder.parent).as_posix() for path in find_files([given]).paths if path == file] == [
            file.relative_to(folder.parent).as_posix()
        ]
        assert {path.parent for path in find_files([given]).paths} == {folder}


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_the_files_of_an_external_table_are_found_below_a_home_of_such_a_name(folder):
    file = folder / "file.parquet"
    pq.write_table(pa.table({"n": [1]}), file)
    assert [find_table_files(place) for place in (file, folder, folder / "f*.parquet")] == [[file]] * 3


def test_a_tilde_is_the_folder_of_a_person_or_a_letter_as_others(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert load_settings(home="~/var").home == tmp_path / "var"
    assert load_settings(home="~nobody-of-this-name/var").home == tmp_path / "~nobody-of-this-name/var"
    (tmp_path / "~old.csv").write_text("account_id\na\n")
    assert find_files(["~old.csv"]).paths == (tmp_path / "~old.csv",)
    assert expanded(tmp_path) == tmp_path


@pytest.mark.parametrize("name", REFUSED)
def test_a_home_that_a_library_cannot_read_is_refused(tmp_path, name):
    from features.exceptions import SettingsError

    with pytest.raises(SettingsError, match=f"home: .*{REFUSED[name]}.*Choose another folder") as refusal:
        load_settings(home=tmp_path / name)
    assert refusal.value.exit_code == 2
    assert str(refusal.value).isprintable()
