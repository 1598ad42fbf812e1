"""The format of an access log, and what its requests ask with, guessed from the first lines."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from features.exceptions import InputError
from features.sources.access_logs.format import FORMATS, log_format
from features.sources.access_logs.line import LineParser
from features.sources.access_logs.request import PARAMETER
from features.sources.json_files.rows import object_of
from features.sources.text.lines import read_blocks

__all__ = ["asked_parameters", "guessed_format"]


_HEAD_BYTES = 1 << 20
_HEAD_LINES = 200
_START = re.compile(
    r'(?P<host>\S+:\d+ )?\S+ (?P<ident>\S+) .+? \[[^\]]+\] "(?:[^"\\]|\\.)*" (?:\d{3}|-) (?:\d+|-)(?P<more>(?: .*)?)'
)
_WORD = re.compile(r' (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<label>[A-Za-z_]+[=:])?"?(?P<bare>[^ "]*)"?)')
_ADDRESSES = re.compile(r"[0-9a-fA-F.:]{3,}(, [0-9a-fA-F.:]{3,})*")
# What the values of a field look like, and what nginx calls such a field; each name is given once.
_SHAPES = (
    ("http_referer", True, re.compile(r"https?://.*")),
    ("http_x_forwarded_for", True, _ADDRESSES),
    ("http_user_agent", True, re.compile(r".*[A-Za-z]/\d.*|(Mozilla|curl|python).*")),
    ("request_time", None, re.compile(r"\d+\.\d{3}")),
    ("upstream_response_time", None, re.compile(r"\d+\.\d{3}")),
    ("request_id", None, re.compile(r"[0-9a-f]{32}")),
)
_LABELS = {"rt": "request_time", "urt": "upstream_response_time", "uct": "upstream_connect_time"}


def guessed_format(path: Path) -> str:
    """A name of a format, ``json``, or the text of one in nginx's words; ``field_N`` is what no word is known for.

    Raises
    ------
    InputError
        When the lines look like no access log.
    """
    lines = _first_lines(path)
    if sum(map(_is_object, lines)) > len(lines) / 2:
        return "json"
    for name in FORMATS:
        parse = LineParser(log_format(name))
        if sum(isinstance(parse(line), dict) for line in lines) > len(lines) / 2:
            return name
    starts = [match for line in lines if (match := _START.fullmatch(line))]
    if not starts or len(starts) <= len(lines) / 2:
        raise InputError(
            f"{path} looks like no access log: {len(lines) - len(starts)} of its first {len(lines)} lines begin in "
            "another way than those of nginx and Apache. Declare its format under [sources.events]."
        )
    begin = '$remote_addr {} $remote_user [$time_local] "$request" $status $body_bytes_sent'
    begin = begin.format("-" if all(match["ident"] == "-" for match in starts) else "$remote_logname")
    host = "$host:$server_port " if starts[0]["host"] else ""
    return host + begin + _rest([match["more"] for match in starts])


def asked_parameters(path: Path) -> tuple[str, ...]:
    """Query parameters of the first requests, as ``arg_NAME``, the most frequent first."""
    queries = [match[1] for line in _first_lines(path) if (match := re.search(r'\?([^ "#]*)', line))]
    names = Counter(part.partition("=")[0] for query in queries for part in set(query.split("&")) if "=" in part)
    return tuple(PARAMETER + name for name, _ in names.most_common() if re.fullmatch(r"[\w.-]{1,40}", name))


def _first_lines(path: Path) -> list[str]:
    block = next(read_blocks(path, block_bytes=_HEAD_BYTES))
    lines = (line.decode("utf-8", "backslashreplace").rstrip("\r") for line in block.content.split(b"\n"))
    head = list(islice((line for line in lines if line), _HEAD_LINES))
    if not head:
        raise InputError(f"{path} is empty: there is nothing to guess from. Give a file with some calls.")
    return head


def _is_object(line: str) -> bool:
    try:
        object_of(line.encode())
    except (ValueError, RecursionError):
        return False
    return True


def _rest(ends: Sequence[str]) -> str:
    """The fields behind those of every access log, as most lines have them."""
    split = [list(_WORD.finditer(end)) for end in ends]
    shapes = Counter(tuple((word["quoted"] is not None, word["label"]) for word in words) for words in split)
    usual = shapes.most_common(1)[0][0]
    alike = [words for words in split if tuple((w["quoted"] is not None, w["label"]) for w in words) == usual]
    text, taken = "", set[str]()
    for place, (is_quoted, label) in enumerate(usual):
        values = [words[place]["quoted"] if is_quoted else words[place]["bare"] for words in alike]
        name = _name([value for value in values if value not in ("-", "")], label, place, taken, is_quoted=is_quoted)
        taken.add(name)
        quote = '"' if is_quoted or alike[0][place][0].endswith('"') else ""
        text += f" {label or ''}{quote}${name}{quote}"
    return text


def _name(values: Sequence[str], label: str | None, place: int, taken: set[str], *, is_quoted: bool) -> str:
    if label:
        return _LABELS.get(label[:-1], label[:-1].lower())
    for name, quoted, shape in _SHAPES:
        if name not in taken and quoted in (None, is_quoted) and values and all(map(shape.fullmatch, values)):
            return name
    if is_quoted and place == 0:  # nobody came from anywhere
        return "http_referer"
    if is_quoted and not values and "http_x_forwarded_for" not in taken:
        return "http_x_forwarded_for"
    return f"field_{place + 1}"
