"""Reads JSON that a server wrote with nginx's own variables as its text logs are read: request and time taken apart."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from features.sources.access_logs.reader import times_of
from features.sources.access_logs.request import PARAMETER, known_methods, of_request, of_target, parameters
from features.sources.json_files.document import read_json
from features.sources.text.rows import Rows

__all__ = ["read_json_log"]


_OF_REQUEST = ("request_method", "uri", "server_protocol")
_TIME = "time_local"
_SHOWN_TIME = "%Y-%m-%dT%H:%M:%SZ"


def read_json_log(path: Path, columns: Sequence[str], *, seen: set[str], is_log: bool) -> Iterator[Rows]:
    """The objects of a JSON file, of each the values of ``columns`` as text.

    Where an object has none of its own, ``uri``, ``request_method``, ``server_protocol`` and ``arg_NAME`` are those of
    its ``request`` or ``request_uri``; a ``time_local`` as nginx and Apache write it is a time with an offset.
    """
    derived = [name for name in columns if name in _OF_REQUEST or name.startswith(PARAMETER)]
    if not derived and _TIME not in columns:
        yield from read_json(path, columns, seen=seen, is_log=is_log)
        return
    more = ["request", "request_uri"] if derived else []
    asked = tuple(dict.fromkeys((*columns, *more)))
    for rows in read_json(path, asked, seen=seen, is_log=is_log):
        table = {name: rows.table[name].combine_chunks() for name in asked}
        if derived:
            parts = _parts(table["request"], table["request_uri"], derived)
            for name in derived:
                table[name] = pc.coalesce(table[name], parts[name])
            seen.update(name for name in derived if table[name].null_count < len(rows.table))
        if _TIME in table:
            moments = pc.strftime(times_of(table[_TIME]), _SHOWN_TIME)
            table[_TIME] = pc.coalesce(moments, table[_TIME])
        yield replace(rows, table=pa.table({name: table[name] for name in columns}))


def _parts(requests: pa.StringArray, targets: pa.StringArray, names: Sequence[str]) -> dict[str, pa.Array]:
    words = of_request(requests)
    path, query = of_target(pc.coalesce(targets, words["request_uri"]))
    parts = {"request_method": known_methods(words["request_method"]), "uri": path}
    return {**parts, "server_protocol": words["server_protocol"], **parameters(query, names)}
