"""Takes one line of an access log apart by its format, whatever stands in it."""

import re

from features.sources.access_logs.format import Field, Kind, LogFormat

__all__ = ["LineParser", "shape", "unescaped"]


# Whether the words of a time are one, its reader says.
_SHAPES = {Kind.TIME: r"[^ ]* [+-]\d{4}", Kind.MARK: r"\??"}
_ESCAPED = re.compile(rb'\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|["\\/bfnrtv])')
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class LineParser:
    """Takes a line of a log apart into its fields, by name; escapes undone, ``-`` as None."""

    def __init__(self, log: LogFormat) -> None:
        self._names = [field.name for field in log.fields]
        self._parts = [
            f"({shape(log, place)})" if isinstance(piece, Field) else shape(log, place)
            for place, piece in enumerate(log.pieces)
        ]
        self._pieces = log.pieces
        self._whole = re.compile("".join(self._parts))
        self._unescaped = (lambda text: text) if log.escape == "none" else unescaped

    def __call__(self, line: str) -> dict[str, str | None] | str:
        """The fields, or where the line departs from the format, without any of its words."""
        match = self._whole.fullmatch(line)
        if match is None:
            return self._departure(line)
        return {
            name: None if value == "-" else self._unescaped(value)
            for name, value in zip(self._names, match.groups(), strict=True)
        }

    def _departure(self, line: str) -> str:
        for end in range(len(self._parts), 0, -1):
            if re.match("".join(self._parts[:end]), line):
                if end == len(self._parts):
                    return "it goes on behind the format's end"
                return f"it departs from the format behind {_named(self._pieces[end - 1])}"
        return f"it departs from the format at {_named(self._pieces[0])}"


def _named(piece: str | Field) -> str:
    return piece.name if isinstance(piece, Field) else repr(piece)


def shape(log: LogFormat, place: int) -> str:
    """The pattern of one piece; each ends where the next begins, so that no line takes long."""
    piece = log.pieces[place]
    after = log.pieces[place + 1] if place + 1 < len(log.pieces) else ""
    before = log.pieces[place - 1] if place else ""
    if isinstance(piece, str):
        return re.escape(piece)
    if piece.kind in _SHAPES:
        return _SHAPES[piece.kind]
    return _field(piece, before, after, escape=log.escape)


def _field(piece: Field, before: str | Field, after: str | Field, *, escape: str) -> str:
    if isinstance(after, Field):  # a "?" or a path follows
        return r"[^?/\s]*" if after.kind is Kind.TARGET else r"[^?\s]*"
    if isinstance(before, str) and before.endswith('"') and after.startswith('"') and escape != "none":
        return r'(?:[^"\\]|\\.)*'
    if piece.name.startswith("upstream_") and after in ("", " "):
        # Several servers were asked: "0.001, 0.002" or "0.001 : 0.002".
        return r"[^ ]*(?:(?:,| :) [^ ]*)*"
    if not after:
        return r"[^ ]*" if isinstance(before, str) and before.endswith(" ") else ".*"
    return f"[^{re.escape(after)}]*" if len(after) == 1 else f"(?:(?!{re.escape(after)}).)*"


def unescaped(value: str) -> str:
    """What a value was before the server wrote its quotes, backslashes and other signs as escapes."""
    if "\\" not in value:
        return value
    return _ESCAPED.sub(_meant, value.encode()).decode("utf-8", "backslashreplace")


def _meant(match: re.Match[bytes]) -> bytes:
    kind = match[1][:1]
    if kind in (b"x", b"u") and len(match[1]) > 1:
        code = int(match[1][1:], 16)
        return bytes([code]) if kind == b"x" else chr(code).encode("utf-8", "backslashreplace")
    return _LETTERS.get(kind, match[1])
