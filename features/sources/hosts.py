"""Says which machine wrote a file, by the part of its path that names it, whatever its rotation and compression."""

import re
from functools import cache
from pathlib import Path

from features.sources.text.packed import plain_name

__all__ = ["folder_host", "host_of"]


BY_ITSELF = "host"
"""The setting that leaves it to us to find the part."""

# The number or date that a rotation puts behind a log's name.
_ROTATED = re.compile(r"(?P<name>.*[._-]?log)(?:[.-][0-9][0-9t:z+_.-]*)?(?:\.old)?")
_ENDING = re.compile(r"\.(?:log|csv|jsonl|ndjson|json|parquet|pq)$")
_DATE = re.compile(r"(?<!\d)\d{4}([-_.]?)\d{2}\1\d{2}(?:[-_.t]?\d{2}(?:[-_:.]?\d{2}){0,2}z?)?(?!\d)|(?<=^u_ex)\d{6,8}")
_NO_NAMES = (
    "access|log|logs|http|https|ssl|nginx|apache|apache2|httpd|iis|u_ex|other|vhosts|request|requests|call|calls|event|"
    "events|export|exports|traffic|current|json|csv|parquet|part|snappy|archive|archived|archives|old|rotated"
)
_AROUND = re.compile(rf"^(?:[\W_]|(?:{_NO_NAMES})(?=[\W_]|$))+|(?:[\W_]|(?<![^\W_])(?:{_NO_NAMES}))+$")
# Folders that hold the logs of everybody: what lies above them names nothing.
_COMMON = ("log", "logs", "events", "inbox", "var", "data", "export", "exports")
_HIVE_HOST = re.compile(r"(?:host|hostname|machine|server|instance|node)=(?P<host>.+)")


def host_of(path: Path, pattern: str) -> str | None:
    """The machine that an absolute path names, in small letters; None where it names none.

    ``pattern`` is ``host``, for what is left of the file's name without endings, dates and words such as access, and
    where nothing is left the nearest folder that is no date and no archive; or the end of a path with ``{host}`` in it,
    in which ``*`` is anything inside a name.

    >>> host_of(Path("/logs/web1/access.log.1.gz"), "host"), host_of(Path("/logs/web1-access.log"), "host")
    ('web1', 'web1')
    >>> host_of(Path("/backup/web1/orders.log.1"), "{host}/*")
    'web1'
    """
    name = _without_rotation(plain_name(path))
    if pattern == BY_ITSELF:
        return _named(_ENDING.sub("", name)) or folder_host(path)
    whole = "/".join((*(part.lower() for part in path.parent.parts), name))
    match = _compiled(pattern.lower()).search(whole)
    return match["host"] if match else None


def _without_rotation(name: str) -> str:
    match = _ROTATED.fullmatch(name)
    return match["name"] if match else name


def _named(name: str) -> str | None:
    """What names a machine in the name of a file or folder; a number alone is a part or a date."""
    rest = _AROUND.sub("", _DATE.sub("", name))
    return rest if re.search(r"[^\W\d_]", rest) else None


def folder_host(path: Path) -> str | None:
    """The machine that a file's folders name; None where they name none."""
    for folder in path.parents:
        name = folder.name.lower()
        if not name or name in _COMMON:
            return None
        partition = _HIVE_HOST.fullmatch(name)
        host = partition["host"] if partition else None if "=" in name else _named(name)
        if host:
            return host
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\{host\}|\*)", pattern)
    words = {"{host}": "(?P<host>[^/]+?)", "*": "[^/]*"}
    return re.compile(f"(?:^|/){''.join(words.get(part) or re.escape(part) for part in parts)}$")
