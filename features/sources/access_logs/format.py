"""What a line of an access log holds, as nginx's ``log_format`` or Apache's ``LogFormat`` says it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from features.exceptions import SettingsError

__all__ = ["FORMATS", "Field", "Kind", "LogFormat", "log_format"]


FORMATS = {
    "common": '%h %l %u %t "%r" %>s %b',
    "combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
    "vhost_combined": '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
}
"""Formats that have a name: those of Apache's own configuration; nginx's ``combined`` is laid out alike."""


class Kind(StrEnum):
    """What has to be done with a field before it is a column."""

    TEXT = "text"
    TIME = "time"  # 22/Nov/2026:09:25:34 +0000
    REQUEST = "request"  # GET /v1/orders?page=2 HTTP/1.1
    TARGET = "target"  # /v1/orders?page=2
    QUERY = "query"  # page=2
    MARK = "mark"  # the "?" between path and query, or nothing


@dataclass(frozen=True)
class Field:
    """One field of a line; ``name`` is what nginx calls it, also in an Apache log."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True)
class LogFormat:
    r"""The fields of a line and the text between them, in order; made by :func:`log_format`.

    Attributes
    ----------
    escape
        How the server writes a quote inside a value: ``default`` (a backslash before it, or its bytes as ``\xHH``),
        ``json``, or ``none``.
    """

    pieces: tuple[str | Field, ...]
    escape: str = "default"

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields in their order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Field))

    @property
    def has_query(self) -> bool:
        """Whether query parameters can be asked for, each as ``arg_NAME``."""
        return any(field.kind in (Kind.REQUEST, Kind.TARGET, Kind.QUERY) for field in self.fields)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of every line. The query is none of them: only parameters that a mapping names are looked up."""
        return tuple(dict.fromkeys(name for field in self.fields for name in _columns_of(field)))


def log_format(text: str) -> LogFormat:
    r"""Read a format: a name of :data:`FORMATS`, the text of a format, or the whole directive that declares it.

    >>> log_format('$remote_addr [$time_local] "$request" $request_time').columns
    ('remote_addr', 'time_local', 'request_method', 'uri', 'server_protocol', 'request_time')
    >>> log_format(r'LogFormat "%t \"%r\" %{ms}T" timed').columns
    ('time_local', 'request_method', 'uri', 'server_protocol', 'request_time_ms')

    Raises
    ------
    SettingsError
        When it names no field, or two fields stand side by side so that nobody can say where one ends.
    """
    plain, escape = _inside(text.strip())
    plain = FORMATS.get(plain, plain)
    pieces = list(_of_nginx(plain) if re.search(r"\$\{?\w", plain) else _of_apache(plain))
    pieces = _joined(pieces)
    line_format = LogFormat(tuple(pieces), escape)
    if not line_format.fields:
        raise SettingsError(
            f"The log format {text!r} names no field. Give {', '.join(FORMATS)}, json, or the text that log_format "
            "(nginx) or LogFormat (Apache) has in the server's configuration."
        )
    for before, after in pairwise(pieces):
        if isinstance(before, Field) and isinstance(after, Field) and not _can_touch(before, after):
            raise SettingsError(
                f"The log format {text!r} has {before.name} and {after.name} side by side: nobody can say where one "
                "ends. Put a space between them in the server's configuration."
            )
    return line_format


def _columns_of(field: Field) -> tuple[str, ...]:
    if field.kind is Kind.REQUEST:
        return ("request_method", "uri", "server_protocol")
    if field.kind is Kind.TARGET:
        return ("uri",)
    return () if field.kind in (Kind.QUERY, Kind.MARK) else (field.name,)


def _can_touch(before: Field, after: Field) -> bool:
    return after.kind in (Kind.MARK, Kind.TARGET) or before.kind is Kind.MARK


def _inside(text: str) -> tuple[str, str]:
    """The format inside a directive, and how it escapes; other text as it is."""
    nginx = re.fullmatch(r"log_format\s+\S+\s+(?:escape=(\w+)\s+)?(.*?)\s*;?", text, re.DOTALL)
    if nginx:
        quoted = re.findall(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", nginx[2])
        parts = [re.sub(r"\\(['\"\\])", r"\1", double or single) for double, single in quoted]
        return "".join(parts) or nginx[2], nginx[1] or "default"
    apache = re.fullmatch(r'(?:LogFormat|CustomLog\s+\S+)\s+"((?:[^"\\]|\\.)*)"(?:\s.*)?', text, re.IGNORECASE)
    plain = apache[1] if apache else text
    return plain.replace('\\"', '"').replace("\\t", "\t"), "default"


def _joined(pieces: list[str | Field]) -> list[str | Field]:
    """Neighbouring texts put together, and a second field of one name under a name of its own."""
    joined: list[str | Field] = []
    names: dict[str, int] = {}
    for piece in pieces:
        if isinstance(piece, Field):
            names[piece.name] = names.get(piece.name, 0) + 1
            again = names[piece.name]
            joined.append(piece if again == 1 else Field(f"{piece.name}_{again}", piece.kind))
        elif joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece:
            joined.append(piece)
    return joined


_NGINX_KINDS = {
    "time_local": Kind.TIME,
    "request": Kind.REQUEST,
    "request_uri": Kind.TARGET,
    "args": Kind.QUERY,
    "query_string": Kind.QUERY,
    "is_args": Kind.MARK,
}


def _of_nginx(text: str) -> Iterator[str | Field]:
    """http://nginx.org/en/docs/http/ngx_http_log_module.html#log_format."""
    end = 0
    for match in re.finditer(r"\$(?:\{(\w+)\}|(\w+))", text):
        yield text[end : match.start()]
        name = match[1] or match[2]
        yield Field({"document_uri": "uri"}.get(name, name), _NGINX_KINDS.get(name, Kind.TEXT))
        end = match.end()
    yield text[end:]


_APACHE = {
    "a": "remote_addr",
    "h": "remote_addr",
    "l": "remote_logname",
    "u": "remote_user",
    "s": "status",
    "b": "body_bytes_sent",
    "B": "body_bytes_sent",
    "O": "bytes_sent",
    "I": "request_length",
    "D": "request_time_us",
    "T": "request_time",
    "m": "request_method",
    "U": "uri",
    "H": "server_protocol",
    "v": "server_name",
    "V": "host",
    "p": "server_port",
    "P": "pid",
    "L": "log_id",
    "X": "connection_status",
    "f": "request_filename",
    "k": "connection_requests",
    "A": "server_addr",
    "R": "handler",
}
_APACHE_WHOLE: dict[str, tuple[str | Field, ...]] = {
    "%": ("%",),
    "r": (Field("request", Kind.REQUEST),),
    "q": (Field("is_args", Kind.MARK), Field("query_string", Kind.QUERY)),
    "t": ("[", Field("time_local", Kind.TIME), "]"),
}
_APACHE_NAMED = {"i": "http_", "o": "sent_http_", "C": "cookie_", "e": "env_", "n": "note_"}


def _of_apache(text: str) -> Iterator[str | Field]:
    """https://httpd.apache.org/docs/2.4/mod/mod_log_config.html#formats."""
    end = 0
    for match in re.finditer(r"%[!,0-9]*[<>]?(?:\{([^}]*)\})?(\^t[io]|[A-Za-z%])", text):
        yield text[end : match.start()]
        yield from _apache_field(match[1], match[2])
        end = match.end()
    yield text[end:]


def _apache_field(inside: str | None, letter: str) -> tuple[str | Field, ...]:
    if letter == "t" and inside:
        return (Field("time"),)
    if letter in _APACHE_WHOLE:
        return _APACHE_WHOLE[letter]
    name = _APACHE.get(letter, f"field_{letter.strip('^')}")
    if inside and letter in _APACHE_NAMED:
        name = _APACHE_NAMED[letter] + re.sub(r"[^a-z0-9]", "_", inside.lower())
    if inside and letter == "T" and inside != "s":
        name = f"request_time_{inside}"
    return (Field(name),)
