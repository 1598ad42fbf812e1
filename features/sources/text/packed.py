"""Unpacks compressed files, piece by piece: gzip, bzip2, xz, Zstandard, and a zip archive of one file."""

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from features.exceptions import DamagedFileError

__all__ = ["PACKINGS", "archived_name", "content_name", "plain_name", "unpacked"]


PACKINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Endings of compressed files that are read."""

_READ_BYTES = 1 << 20
_PIECE_BYTES = 8 << 20
_FRAME_BYTES = 1 << 16  # what Zstandard unpacks before a cut is lost with the piece it is cut in
_NO_FILES = ("__MACOSX/", ".")


class _Unpacking(Protocol):
    """What bzip2 and xz have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def plain_name(path: Path) -> str:
    """The file's name in small letters, without the ending of its compression.

    >>> plain_name(Path("logs/Calls.CSV.zst"))
    'calls.csv'
    """
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in PACKINGS if name.endswith(ending)), name)


def content_name(path: Path) -> str:
    """The name of what a file holds: the one file of a zip archive, or its own without the ending of a compression."""
    return (archived_name(path) if path.name.lower().endswith(".zip") else None) or plain_name(path)


def archived_name(path: Path) -> str | None:
    """The name of the one file in a zip archive, in small letters; None where there are several, or it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = _names(archive)
    except (OSError, zipfile.BadZipFile):
        return None
    return Path(names[0]).name.lower() if len(names) == 1 else None


def unpacked(path: Path) -> Iterator[bytes | None]:
    """The file's bytes, unpacked where its ending says that it is compressed; None at the end where it ends too early.

    Raises
    ------
    DamagedFileError
        When it cannot be unpacked.
    OSError
        When it cannot be read.
    """
    name = path.name.lower()
    with path.open("rb") as file:
        read = iter(lambda: file.read(_READ_BYTES), b"")
        if name.endswith(".gz"):
            yield from _guarded(path, _of_gzip(read))
        elif name.endswith(".bz2"):
            yield from _guarded(path, _of_streams(read, bz2.BZ2Decompressor))
        elif name.endswith(".xz"):
            yield from _guarded(path, _of_streams(read, lzma.LZMADecompressor))
        elif name.endswith(".zst"):
            yield from _guarded(path, _of_zstandard(pa.PythonFile(file, "r")))
        elif name.endswith(".zip"):
            yield from _guarded(path, _of_archive(path))
        else:
            yield from read


def _guarded(path: Path, pieces: Iterator[bytes | None]) -> Iterator[bytes | None]:
    try:
        yield from pieces
    except OSError as error:
        if error.strerror is not None:  # of the disk; the words of an unpacker come without a number
            raise
        raise _damaged(path) from error
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, EOFError, NotImplementedError) as error:
        raise _damaged(path) from error
    except RuntimeError as error:  # how zipfile says that it needs a password
        raise DamagedFileError(f"{path} is encrypted. Unpack it first. Nothing was stored.") from error


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(f"{path} is damaged: it cannot be unpacked. Write it again. Nothing was stored.")


def _of_gzip(read: Iterator[bytes]) -> Iterator[bytes | None]:
    unpacking = zlib.decompressobj(wbits=31)
    for packed in read:
        rest = packed
        while rest:
            if unpacking.eof:  # several gzip files put behind each other are one; zeros behind them are padding
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                unpacking = zlib.decompressobj(wbits=31)
            yield unpacking.decompress(rest, _PIECE_BYTES)
            rest = unpacking.unused_data if unpacking.eof else unpacking.unconsumed_tail
    if not unpacking.eof:
        yield unpacking.flush()
        yield None


def _of_streams(read: Iterator[bytes], begin: Callable[[], _Unpacking]) -> Iterator[bytes | None]:
    unpacking = begin()
    for packed in read:
        rest = packed
        while rest or not (unpacking.eof or unpacking.needs_input):
            if unpacking.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                unpacking = begin()
            yield unpacking.decompress(rest, _PIECE_BYTES)
            rest = unpacking.unused_data if unpacking.eof else b""
    if not unpacking.eof:
        yield None


def _of_zstandard(file: pa.NativeFile) -> Iterator[bytes | None]:
    with pa.CompressedInputStream(file, "zstd") as stream:
        while True:
            try:
                piece = stream.read(_FRAME_BYTES)
            except OSError as error:
                if "Truncated" not in str(error):
                    raise
                yield None
                return
            if not piece:
                return
            yield piece


def _of_archive(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        names = _names(archive)
        if len(names) != 1:
            raise DamagedFileError(
                f"{path} holds {len(names)} files, and one is read. Unpack it and give the files. Nothing was stored."
            )
        with archive.open(names[0]) as file:
            yield from iter(lambda: file.read(_READ_BYTES), b"")


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith(_NO_FILES) and not Path(name).name.startswith(".")
    ]
