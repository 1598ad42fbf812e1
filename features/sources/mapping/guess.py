"""A first mapping, guessed from the columns of a file and from what its first rows hold."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.exceptions import InputError
from features.schema import EVENTS
from features.settings.fields import SourceSettings
from features.sources.access_logs.request import PARAMETER
from features.sources.files import SourceFiles, find_files, group_files
from features.sources.kinds import is_log
from features.sources.mapping.declared import UNITS_PER_SECOND
from features.sources.mapping.guess_format import asked_parameters, guessed_format
from features.sources.mapping.known_names import AGENTS, KNOWN_NAMES, UNIT_ENDINGS, folded, known_as
from features.sources.mapping.looks import number_of, plain_values, unit_of_duration, unit_of_epoch, why_not
from features.sources.text.rows import Rows
from features.sources.w3c import is_w3c

__all__ = ["Guess", "guess", "guessed_mapping"]


_ROWS_LOOKED_AT = 1000
_OF_AGENT = {"sdk": "^([^/ ]+)", "sdk_version": "^[^/ ]+/([0-9][^ ;)]*)"}
_OF_REQUEST = {"endpoint": "^[A-Za-z-]+ ([^ ?]+)", "method": "^([A-Za-z-]+) "}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME_OF_DAY = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d+)?")
_NO_ZONE = "the times say no zone; is it UTC?"
_SIDES = ("request", "response")
_LOG_SECONDS = ("request_time", "upstream_response_time", "upstream_connect_time", "upstream_header_time")
_NANOSECONDS = ("DownstreamStatus", "OriginDuration", "event.duration")  # of Traefik and of the Elastic schema


@dataclass(frozen=True)
class Guess:
    """A mapping of a log of calls, and what it was guessed from.

    Attributes
    ----------
    format
        Of an access log; None for other files.
    lines
        Canonical column to its line of TOML, or to a comment that says why it has none.
    rows
        The first rows of the file; None where it has none.
    """

    files: SourceFiles
    columns: tuple[str, ...]
    format: str | None
    lines: Mapping[str, str]
    unused: tuple[str, ...]
    rows: Rows | None

    @property
    def text(self) -> str:
        """The mapping as TOML, its comments among it."""
        head = [f"# Guessed from {self.files.paths[0].name}; check every line."]
        if self.format is not None:
            head += ["[sources.events]", f"format = {_literal(self.format)}", ""]
        more = [f"# not read: {_quoted(', '.join(self.unused))[1:-1]}"] if self.unused else []
        return "\n".join([*head, "[sources.events.columns]", *self.lines.values(), *more]) + "\n"

    def without(self, reasons: Mapping[str, str]) -> "Guess":
        """The mapping without some columns, which a comment names with the reason."""
        return replace(self, lines={**self.lines, **{name: _comment(name, why) for name, why in reasons.items()}})


def guessed_mapping(path: Path) -> str:
    """TOML of ``[sources.events.columns]`` for a file of API calls, with a line for every column it has to be told of.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    return guess(path).text


def guess(path: Path) -> Guess:
    """A mapping for a file of API calls; of each column only what its first rows can be read as.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    file = find_files([path]).paths[0]
    declared = guessed_format(file) if is_log(file) and not is_w3c(file) else None
    files = group_files([file], SourceSettings(format=declared))[0]
    if not files.columns:
        raise InputError(f"{path} is empty: there is nothing to guess from. Give a file with some calls.")
    columns = files.columns
    if files.log is not None:
        known = {name.replace("_", "") for names in KNOWN_NAMES.values() for name in names}
        known |= {name.replace("_", "") for name in KNOWN_NAMES}
        columns = (*columns, *(name for name in asked_parameters(file) if not known.isdisjoint(known_as(name))))
    rows = _first_rows(files, columns)
    guesser = _Guesser(files, columns, rows)
    lines = dict(guesser.lines())
    return Guess(files, columns, declared, lines, guesser.unused(), rows)


class _Guesser:
    """Goes through the canonical columns, the columns of the file that are taken in mind."""

    def __init__(self, files: SourceFiles, columns: tuple[str, ...], rows: Rows | None) -> None:
        self._files = files
        self._columns = columns
        self._inner = [column for column in columns if not _is_outer(column, columns)]
        self._schema = files.asked((), declared=columns) if rows is None else rows.table.schema
        table: dict[str, list[Any]] = {} if rows is None else rows.table.to_pydict()
        self._values = {column: plain_values(table.get(column, ())) for column in columns}
        rows_alike = {str(row) for row in zip(*table.values(), strict=True)} if table else set[str]()
        self._is_one_row = len(rows_alike) <= 1
        self._taken = set(columns) & set(EVENTS.schema.names)
        self._shared: set[str] = set()  # columns that several lines may read a part of
        self._is_log = files.is_log

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each canonical column and its line, where it needs one."""
        for name in EVENTS.schema.names:
            if name in self._columns:
                line = self._as_named(name)
            elif name == "event_time" and (line := self._day_and_time()):
                pass
            else:
                source, reasons = self._pick(name)
                if source is not None:
                    self._taken.add(source)
                    line = self._line(name, source)
                else:
                    line = self._made(name) or _comment(name, reasons)
            if line is not None:
                yield name, line

    def unused(self) -> tuple[str, ...]:
        """Columns of the file that no line reads."""
        return tuple(column for column in self._inner if column not in self._taken | self._shared)

    def _as_named(self, name: str) -> str | None:
        """A column that has our name is read as it is; what else there is to say of it."""
        more, remark = self._details(name, name)
        why = self._why_not(name, name)
        remark = f"its column {why}; map another one, or rename it" if why and self._values[name] else remark
        if not more and why and self._values[name]:
            return f"# {name}: {remark}"
        return f"{name} = {{ {', '.join(more)} }}{remark and f'  # {remark}'}" if more else None

    def _pick(self, name: str) -> tuple[str | None, str]:
        """The column that is likeliest, or why those that are called so are none."""
        reasons: list[str] = []
        fitting: list[str] = []
        for column in self._like(name):
            if column in self._taken:
                continue
            why = self._why_not(name, column)
            if why is None:
                fitting.append(column)
            elif self._values[column] or name in EVENTS.required:
                reasons.append(f"{column} {why}")
        varying = [column for column in fitting if len(set(map(str, self._values[column]))) > 1]
        if varying or fitting:
            return (varying or fitting)[0], ""
        return None, "; ".join(reasons)

    def _why_not(self, name: str, column: str) -> str | None:
        values = self._values[column]
        if not values and not self._has_rows():
            return None
        if column == "remote_user" and self._is_log and not values:
            return "is empty"
        why = why_not(name, values, is_request=_is_request(name, column))
        if why is None and name == "event_time" and len(values) > 1 and not self._is_one_row:
            is_constant = len(set(map(str, values))) == 1
            return "never changes" if is_constant and column != "time_local" else None
        return why

    def _has_rows(self) -> bool:
        return any(self._values.values())

    def _like(self, name: str) -> list[str]:
        by_name: dict[str, list[str]] = {}
        for column in self._inner:
            if name == "latency_ms" and column.endswith(".time"):
                continue  # the time of a response is no duration
            if name == "event_time" and column.startswith("response."):
                continue
            for known in known_as(column, with_units=name in ("latency_ms", "event_time", "ingested_at")):
                by_name.setdefault(known, []).append(column)
        names = [known.replace("_", "") for known in (name, *KNOWN_NAMES[name])]
        return list(dict.fromkeys(column for known in names for column in by_name.get(known, ())))

    def _line(self, name: str, source: str) -> str:
        if _is_request(name, source):
            self._taken.discard(source)  # path and method are both in it
            self._shared.add(source)
            return f"{name} = {{ expression = {_quoted(_part(source, _OF_REQUEST[name]))} }}"
        more, remark = self._details(name, source)
        return f"{name} = {{ {', '.join([f'from = {_quoted(source)}', *more])} }}{remark and f'  # {remark}'}"

    def _made(self, name: str) -> str | None:
        """What can be made of other columns where none is it."""
        if name == "account_id":
            keys = [column for column in self._like("token") if column not in self._taken and self._values[column]]
            note = "  # known by its key, kept as a keyed hash: map accounts and subscriptions alike"
            return f"account_id = {{ from = {_quoted(keys[0])}, hashed = true }}{note}" if keys else None
        if name in _OF_AGENT:
            agents = {agent.replace("_", "") for agent in AGENTS}
            agent = next((c for c in self._inner if not agents.isdisjoint(known_as(c)) and self._is_said(c)), None)
            if agent is None:
                return None
            self._taken.add(agent)
            return f"{name} = {{ expression = {_quoted(_part(agent, _OF_AGENT[name]))} }}"
        begun, ended = (next((c for c in self._inner if c == f"{side}.time"), None) for side in _SIDES)
        if name == "latency_ms" and begun and ended:
            expression = f"epoch_ms({_name(ended)}::TIMESTAMPTZ) - epoch_ms({_name(begun)}::TIMESTAMPTZ)"
            self._taken |= {begun, ended}
            return f"{name} = {{ expression = {_quoted(expression)} }}"
        return None

    def _day_and_time(self) -> str | None:
        """A moment of which day and time of day are columns of their own, as in W3C's logs."""
        day = next((column for column in self._like_one("date") if self._all(column, _DAY)), None)
        time = next((column for column in self._like_one("time") if self._all(column, _TIME_OF_DAY)), None)
        if day is None or time is None:
            return None
        self._taken |= {day, time}
        expression = _quoted(f"{_name(day)} || ' ' || {_name(time)}")
        remark = "" if self._files.kind == "w3c" else f"  # {_NO_ZONE}"  # W3C's are in UTC
        return f'event_time = {{ expression = {expression}, time_zone = "UTC" }}{remark}'

    def _like_one(self, name: str) -> list[str]:
        return [column for column in self._inner if name in known_as(column)]

    def _all(self, column: str, shape: re.Pattern[str]) -> bool:
        values = self._values[column]
        return bool(values) and all(shape.fullmatch(str(value)) for value in values)

    def _is_said(self, column: str) -> bool:
        return bool(self._values[column]) or not self._has_rows() or self._files.log is not None

    def _details(self, name: str, source: str) -> tuple[list[str], str]:
        """What else the mapping has to say of a column, and what its reader should know."""
        if name == "latency_ms":
            return self._details_of_duration(source)
        return self._details_of_time(source) if name in ("event_time", "ingested_at") else ([], "")

    def _details_of_duration(self, source: str) -> tuple[list[str], str]:
        ending = folded(source).rpartition("_")[2]
        if source == "latency_ms":
            return [], ""
        if self._is_log and source in _LOG_SECONDS:
            return ['unit = "s"'], ""
        if ending in UNIT_ENDINGS:
            return ([] if UNIT_ENDINGS[ending] == "ms" else [f'unit = "{UNIT_ENDINGS[ending]}"']), ""
        values = self._values[source]
        unit, is_unsure = unit_of_duration(values)
        if unit == "ms" and any(mark in self._columns for mark in _NANOSECONDS):
            unit, is_unsure = "ns", False
        if unit == "ms":
            return [], 'taken for milliseconds; add unit = "s" if it counts seconds'
        numbers = sorted(number for value in values if (number := number_of(value)) is not None)
        middle = 1000 * numbers[len(numbers) // 2] / UNITS_PER_SECOND[unit] if numbers else 0
        return [f'unit = "{unit}"'], f"by its size: half take {middle:.3g} ms or less{'; is it?' if is_unsure else ''}"

    def _details_of_time(self, source: str) -> tuple[list[str], str]:
        values, kind = self._values[source], self._schema.field(source).type
        unit = unit_of_epoch(values)
        if unit is not None:
            return [f'unit = "{unit}"'], f"the first row holds {number_of(values[0]) or 0:.0f}"
        if pa.types.is_timestamp(kind):
            return ([], "") if kind.tz else (['time_zone = "UTC"'], _NO_ZONE)
        first = str(values[0]).strip() if values else ""
        if re.search(r"(Z|UTC|GMT|[+-]\d{2}:?\d{2})$", first):
            return [], ""
        return ['time_zone = "UTC"'], _NO_ZONE


def _comment(name: str, why: str) -> str:
    needed = " (required)" if name in EVENTS.required else ""
    return f"# {name}{needed}: {why or 'no column looks like it'}"


def _is_outer(column: str, columns: Collection[str]) -> bool:
    """Whether the values inside a column are columns too."""
    return any(other.startswith(f"{column}.") for other in columns)


def _is_request(name: str, column: str) -> bool:
    """Whether a column is the first line of a request, of which path and method are parts."""
    return name in _OF_REQUEST and folded(column.rpartition(".")[2]) == "request" and not column.startswith(PARAMETER)


def _first_rows(files: SourceFiles, columns: Sequence[str]) -> Rows | None:
    for rows in files.rows(files.paths[0], columns, seen=set()):
        if len(rows.table):
            nested = {name: [at for at in places if at < _ROWS_LOOKED_AT] for name, places in rows.nested.items()}
            nested = {name: places for name, places in nested.items() if places}
            table = rows.table.slice(0, _ROWS_LOOKED_AT).select(list(columns))
            return Rows(table, list(rows.numbers[:_ROWS_LOOKED_AT]), nested=nested)
    return None


def _part(column: str, pattern: str) -> str:
    return f"nullif(regexp_extract({_name(column)}, '{pattern}', 1), '')"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    return _quoted(text) if "'" in text else f"'{text}'"


def _name(column: str) -> str:
    """A column as SQL names it."""
    return '"' + column.replace('"', '""') + '"'
