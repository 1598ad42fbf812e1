"""Whether a stored file is what its manifest says: looked at before it is read, once for the work of one process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.exceptions import WorkFailedError, counted, listed
from features.fingerprint import file_digest

__all__ = ["FileSize", "Verification", "damaged", "size_of"]


@dataclass(frozen=True)
class FileSize:
    """How much a Parquet file holds.

    Attributes
    ----------
    bytes
        Of the file.
    rows
        As its footer says.
    """

    bytes: int
    rows: int


@dataclass(frozen=True)
class Verification:
    """Remembers which files were found whole, so that none is read twice for it.

    Attributes
    ----------
    by_content
        Whether a file's SHA-256 is compared, which reads all of it; else its size and number of rows, where the
        manifest notes them: what a cluster reads need not pass through this machine.
    """

    by_content: bool = True
    _whole: set[tuple[Path, str]] = field(default_factory=set, compare=False)

    def trust(self, path: Path, content: str) -> None:
        """Take a file as whole whose content was just hashed."""
        self._whole.add((path, content))

    def require(self, contents: Mapping[Path, str], sizes: Mapping[Path, FileSize], *, remedy: str) -> None:
        """Go on only when every file has the content that the manifest notes for it.

        Raises
        ------
        WorkFailedError
            Naming the files that are missing or have another content, and the remedy.
        """
        files = {path: content for path, content in contents.items() if (path, content) not in self._whole}
        faulty = list(damaged(files, {} if self.by_content else sizes))
        if faulty:
            what = counted(len(faulty), "file is|files are")
            raise WorkFailedError(f"{what} damaged or missing: {listed(faulty)}. {remedy}")
        self._whole.update(files.items())


def damaged(contents: Mapping[Path, str], sizes: Mapping[Path, FileSize]) -> Iterator[Path]:
    """The files that are missing or differ from what is noted of them: their size where it is given, else SHA-256."""
    for path, content in contents.items():
        try:
            is_whole = size_of(path) == sizes[path] if path in sizes else file_digest(path) == content
        except (OSError, ValueError):  # the second is what no Parquet file is to Arrow
            is_whole = False
        if not is_whole:
            yield path


def size_of(path: Path) -> FileSize:
    """Bytes and rows of a Parquet file; only its footer is read."""
    import pyarrow.parquet as pq

    return FileSize(path.stat().st_size, pq.read_metadata(path).num_rows)
