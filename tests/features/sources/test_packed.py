"""Compressed files are unpacked whatever packed them, as far as they go; what is damaged is said."""

import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from features.exceptions import DamagedFileError
from features.sources.kinds import kind_of
from features.sources.text.packed import unpacked

LINES = b"".join(b"%d,%d\n" % (number, number * 7919 % 1000) for number in range(40_000))


def zipped(content: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("calls.csv",):
            archive.writestr(name, content)
    return file.getvalue()


PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    "zip": zipped,
}
STREAMS = ("gz", "bz2", "xz", "zst")


def read(path: Path, content: bytes) -> tuple[bytes, bool]:
    """What can be unpacked, and whether it ends too early."""
    path.write_bytes(content)
    pieces = list(unpacked(path))
    return b"".join(piece for piece in pieces if piece is not None), None in pieces


@pytest.mark.parametrize("ending", PACK)
def test_a_packed_file_is_its_content(tmp_path, ending):
    assert read(tmp_path / f"x.csv.{ending}", PACK[ending](LINES)) == (LINES, False)


@pytest.mark.parametrize("ending", STREAMS)
def test_packed_files_put_behind_each_other_are_one(tmp_path, ending):
    pack = PACK[ending]
    assert read(tmp_path / f"x.csv.{ending}", pack(LINES) + pack(b"end\n")) == (LINES + b"end\n", False)


@pytest.mark.parametrize("ending", STREAMS)
def test_of_a_packed_file_cut_short_the_beginning_is_read(tmp_path, ending):
    content = os.urandom(3_000_000)
    packed = PACK[ending](content)
    begin, is_cut = read(tmp_path / f"x.csv.{ending}", packed[: len(packed) // 2])
    assert is_cut
    assert len(begin) > 500_000
    assert content.startswith(begin)


@pytest.mark.parametrize("ending", PACK)
def test_a_file_of_other_bytes_is_damaged(tmp_path, ending):
    with pytest.raises(DamagedFileError, match=rf"x.csv.{ending} is damaged: it cannot be unpacked. Write it again"):
        read(tmp_path / f"x.csv.{ending}", b"account_id,event_time\n" * 9)


def test_a_zip_archive_of_several_files_is_not_guessed_from(tmp_path):
    with pytest.raises(DamagedFileError, match=r"x.zip holds 2 files, and one is read. Unpack it"):
        read(tmp_path / "x.zip", zipped(LINES, "a.csv", "b.csv"))
    assert kind_of(tmp_path / "x.zip") is None


def test_what_a_finder_adds_to_an_archive_is_no_file_of_it(tmp_path):
    content = zipped(LINES, "data/calls.json", "__MACOSX/data/._calls.json", "data/.DS_Store")
    assert read(tmp_path / "export.zip", content) == (LINES, False)
    assert kind_of(tmp_path / "export.zip") == "json"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("calls.csv.zst", "csv"),
        ("calls.NDJSON.xz", "json"),
        ("access.log.2.bz2", "log"),
        ("access.log-2026-11-20-1732060800.gz", "log"),
        ("access.log.2026-11-20T00:00:00", "log"),
        ("access.log.1.old", "log"),
        ("calls.parquet.gz", None),
        ("logs.tar.gz", None),
        ("access.txt", None),
        ("access.log.lz4", None),
    ],
)
def test_a_name_says_what_a_file_holds(name, kind):
    assert kind_of(Path(name)) == kind
