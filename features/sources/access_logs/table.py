"""Takes many lines of an access log apart at once, by the patterns that take one line apart."""

import re
from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.sources.access_logs.format import Field, LogFormat
from features.sources.access_logs.line import shape, unescaped

__all__ = ["TableParser"]


_REST = "rest"
_MOST_FIELDS = 3  # RE2 finds four groups in one pass, and more in three times that: so the fourth is the line's rest
# Python's white space; RE2's own \s leaves out most of it.
_SPACES = r"\s\v\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"


class TableParser:
    """Takes lines of a log apart into a table of ``fields``.

    Each line as :class:`~features.sources.access_logs.line.LineParser` takes it apart.
    """

    def __init__(self, log: LogFormat, fields: Collection[str]) -> None:
        self._groups = {f"piece_{log.pieces.index(field)}": field.name for field in log.fields if field.name in fields}
        self._patterns = tuple(_patterns(log, fields))
        self._is_escaped = log.escape != "none"

    def __call__(self, lines: pa.StringArray) -> tuple[npt.NDArray[np.int64], pa.Table]:
        """The places of the lines that are plainly of the format, and each field of those as text, ``-`` as null.

        ``lines`` are UTF-8 and without their ends. A line that is left out is empty or has to be looked at alone.
        """
        rest, groups = lines, dict[str, pa.StringArray]()
        for pattern in self._patterns:
            matches = pc.extract_regex(rest, pattern)
            groups |= {field.name: pc.struct_field(matches, field.name) for field in matches.type}
            rest = groups.get(_REST)
        is_plain = pc.and_(matches.is_valid(), pc.greater(pc.binary_length(lines), 0))
        is_whole = pc.all(is_plain).as_py()
        table = {
            name: self._values(groups[group] if is_whole else groups[group].filter(is_plain))
            for group, name in self._groups.items()
        }
        return np.flatnonzero(is_plain), pa.table(table)

    def _values(self, texts: pa.StringArray) -> pa.StringArray:
        values = pc.if_else(pc.equal(texts, "-"), pa.scalar(None, pa.string()), texts)
        if not self._is_escaped or b"\\" not in texts.buffers()[2].to_pybytes():
            return values
        has_escapes = pc.match_substring(texts, "\\")
        meant = pa.array(map(unescaped, texts.filter(has_escapes).to_pylist()), pa.string())
        return pc.replace_with_mask(values, has_escapes, meant)


def _patterns(log: LogFormat, fields: Collection[str]) -> Iterator[str]:
    """Patterns of a line, each for what the one before it leaves as the rest."""
    pattern, count = "", 0
    for place, piece in enumerate(log.pieces):
        is_asked = isinstance(piece, Field) and piece.name in fields
        if is_asked and count == _MOST_FIELDS:
            yield rf"\A{pattern}(?P<{_REST}>.*)\z"
            pattern, count = "", 0
        count += is_asked
        pattern += f"(?P<piece_{place}>{_for_re2(log, place)})" if is_asked else _for_re2(log, place)
    yield rf"\A{pattern}\z"


def _for_re2(log: LogFormat, place: int) -> str:
    piece, pattern = log.pieces[place], shape(log, place)
    if not isinstance(piece, Field):
        return pattern
    if "(?!" in pattern:  # it cannot look ahead: some values more are left to be looked at alone
        return f"[^{re.escape(str(log.pieces[place + 1])[0])}]*"
    return pattern.replace(r"\s", _SPACES)
