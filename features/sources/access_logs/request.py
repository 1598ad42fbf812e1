"""Takes requests of an access log apart: method, path, parameters that are asked for. The query goes no further."""

import re
from collections.abc import Collection
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["PARAMETER", "known_methods", "of_request", "of_target", "parameters", "without_query"]


PARAMETER = "arg_"
"""A query parameter's column is its name behind this, as in nginx."""

# RFC 9110, 5789 and those of WebDAV: RFC 4918, 3253, 3648, 3744, 4316, 4437, 4791, 5323, 5842.
# fmt: off
_METHODS = frozenset((
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "PROPPATCH", "MKCOL",
    "COPY", "MOVE", "LOCK", "UNLOCK", "VERSION-CONTROL", "REPORT", "CHECKOUT", "CHECKIN", "UNCHECKOUT",
    "MKWORKSPACE", "UPDATE", "LABEL", "MERGE", "BASELINE-CONTROL", "MKACTIVITY", "ORDERPATCH", "ACL", "LINK",
    "UNLINK", "MKREDIRECTREF", "UPDATEREDIRECTREF", "MKCALENDAR", "SEARCH", "BIND", "UNBIND", "REBIND",
))
# fmt: on
_REQUEST = re.compile(r"([A-Za-z-]+) (.*?)(?: (HTTP/[0-9.]+))?")
_WORDS = ("request_method", "request_uri", "server_protocol")
_PLAIN = r"(?s)\A(?P<request_method>[A-Za-z]+) (?P<request_uri>[^ ]*) (?P<server_protocol>HTTP/.*)\z"


def of_request(requests: pa.StringArray) -> dict[str, pa.StringArray]:
    """``request_method``, ``request_uri`` and ``server_protocol`` of request lines; null where it is none.

    What reaches a port need not be HTTP: a handshake of another protocol has no method and no path.
    """
    matches = pc.extract_regex(requests, _PLAIN)
    words = {word: pc.struct_field(matches, word) for word in _WORDS}
    is_odd = pc.and_(matches.is_null(), requests.is_valid())
    if pc.any(is_odd).as_py():
        odd = zip(*map(_by_hand, requests.filter(is_odd).to_pylist()), strict=True)
        words = {
            word: pc.replace_with_mask(words[word], is_odd, pa.array(texts, pa.string()))
            for word, texts in zip(_WORDS, odd, strict=True)
        }
    return words


def known_methods(methods: pa.StringArray) -> pa.StringArray:
    """The methods that HTTP knows; null for other words, since anything may stand before a path, a key among it."""
    distinct = methods.dictionary_encode()
    known = [
        method if method is not None and method.upper() in _METHODS else None
        for method in distinct.dictionary.to_pylist()
    ]
    return pa.array(known, pa.string()).take(distinct.indices)


def of_target(targets: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """The path of request targets, and their query, null without one."""
    halves = pc.split_pattern(targets, "?", max_splits=1)
    queries = pc.list_flatten(pc.list_slice(halves, 1, 2))
    has_query = pc.fill_null(pc.equal(pc.list_value_length(halves), 2), False)
    return pc.list_element(halves, 0), pc.replace_with_mask(pa.nulls(len(targets), pa.string()), has_query, queries)


def parameters(queries: pa.StringArray, columns: Collection[str]) -> dict[str, pa.Array]:
    """The parameters that ``columns`` (``arg_NAME``) ask for, decoded; of one that comes twice the first."""
    return {name: _parameter(queries, name.removeprefix(PARAMETER)) for name in columns if name.startswith(PARAMETER)}


def without_query(addresses: pa.StringArray) -> pa.StringArray:
    """Addresses, such as a referrer's, as far as their query."""
    return pc.replace_substring_regex(addresses, r"[?#].*", "")


def _parameter(queries: pa.StringArray, name: str) -> pa.Array:
    shape = f"(?:^|&)(?i:{re.escape(name)})=(?P<value>[^&#]*)"
    values = pc.struct_field(pc.extract_regex(queries, shape), "value").dictionary_encode()
    decoded = [None if value is None else unquote_plus(value) for value in values.dictionary.to_pylist()]
    return pa.array(decoded, pa.string()).take(values.indices)


def _by_hand(text: str) -> tuple[str | None, str | None, str | None]:
    match = _REQUEST.fullmatch(text)
    return (match[1], match[2], match[3]) if match else (None, None, None)
