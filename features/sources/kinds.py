"""Says by a file's name what it holds: a table, JSON, the log of a server, or nothing that is read."""

import re
import zipfile
from pathlib import Path
from typing import Literal

from features.sources.text.packed import archived_name, plain_name

__all__ = ["KINDS", "Kind", "is_error_log", "is_log", "kind_of"]


Kind = Literal["parquet", "csv", "json", "log", "w3c", "otlp"]
KINDS = (
    ".parquet, .csv, .jsonl, .ndjson, .json, .log, access.log.1 (all but .parquet also with .gz, .bz2, .xz, .zst or "
    ".zip behind)"
)
"""The names of files that are read, in a sentence."""

_ENDINGS: dict[Kind, tuple[str, ...]] = {"csv": (".csv",), "json": (".jsonl", ".ndjson", ".json")}
# access.log, access_log, access.log.1, access.log-20260629, access.log.2026-06-29T00:00:00, access.log.1.old
_LOG = re.compile(r".*[._]log([.-][0-9][0-9t:z+_.-]*)?(\.old)?", re.IGNORECASE)
# E2ABC.2026-11-20-21.d111abc, as CloudFront names them
_EDGE = re.compile(r"[a-z0-9]+\.\d{4}-\d{2}-\d{2}-\d{2}\.[a-z0-9]+")
# error.log.1, error_log, ssl_error_log, api.example.org-error.log
_ERROR_LOG = re.compile(r"^error|(^|[._-])error[._-]?log([.-]|$)", re.IGNORECASE)


def kind_of(path: Path) -> Kind | None:
    """What a file holds, by its name, or by that of the file in a zip archive; None where nothing reads it."""
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    if not name.endswith(".zip"):
        return _kind(plain_name(path))
    inner = archived_name(path)
    if inner is None and zipfile.is_zipfile(path):
        return None  # of several files nobody knows which is meant
    return _kind(inner or "") or _kind(plain_name(path))


def is_log(path: Path) -> bool:
    """Whether the name is that of a server's log."""
    return kind_of(path) == "log"


def is_error_log(path: Path) -> bool:
    """A server's other log, which lies in the same folder and holds no calls."""
    return _ERROR_LOG.search(path.name) is not None and is_log(path)


def _kind(name: str) -> Kind | None:
    by_ending = next((kind for kind, endings in _ENDINGS.items() if name.endswith(endings)), None)
    return by_ending or ("log" if _LOG.fullmatch(name) or _EDGE.fullmatch(name) else None)
