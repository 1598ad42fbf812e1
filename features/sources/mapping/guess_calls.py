"""Guesses how calls are made of a file's columns: also of a request line, a client's name, a day and a time of day."""

import re

from features.schema import EVENTS
from features.sources.access_logs.request import PARAMETER
from features.sources.files import SourceFiles
from features.sources.mapping.declared import UNITS_PER_SECOND
from features.sources.mapping.durations import seconds_of
from features.sources.mapping.guesser import NO_ZONE, Guesser
from features.sources.mapping.known_names import AGENTS, UNIT_ENDINGS, folded, known_as
from features.sources.mapping.known_records import names_of
from features.sources.mapping.looks import number_of, unit_of_duration
from features.sources.mapping.toml_text import as_expression, from_column, name_in_sql, quoted
from features.sources.text.rows import Rows

__all__ = ["CallGuesser"]


_OF_AGENT = {"sdk": "^([^/ ]+)", "sdk_version": "^[^/ ]+/([0-9][^ ;)]*)"}
_OF_REQUEST = {"endpoint": "^[A-Za-z-]+ ([^ ?]+)", "method": "^([A-Za-z-]+) "}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME_OF_DAY = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d+)?")
_SIDES = ("request", "response")
_LOG_SECONDS = ("request_time", "upstream_response_time", "upstream_connect_time", "upstream_header_time")
_NANOSECONDS = ("DownstreamStatus", "OriginDuration", "event.duration")  # of Traefik and of the Elastic schema


class CallGuesser(Guesser):
    """Knows what is particular to logs of calls."""

    def __init__(self, files: SourceFiles, columns: tuple[str, ...], rows: Rows | None) -> None:
        super().__init__(EVENTS, files, columns, rows)
        self._is_log = files.is_log

    def special(self, name: str) -> str | None:
        """A moment of which day and time of day are columns of their own, as in W3C's logs."""
        if name != "event_time" or name in self.columns:
            return None
        day = next((column for column in self.called(("date",)) if self._all(column, _DAY)), None)
        time = next((column for column in self.called(("time",)) if self._all(column, _TIME_OF_DAY)), None)
        if day is None or time is None:
            return None
        self.taken |= {day, time}
        remark = "" if self.files.kind == "w3c" else NO_ZONE  # W3C's are in UTC
        expression = f"{name_in_sql(day)} || ' ' || {name_in_sql(time)}"
        return as_expression(name, expression, 'time_zone = "UTC"', remark=remark)

    def why_not(self, name: str, column: str, *, is_request: bool = False) -> str | None:  # noqa: ARG002 - told by name
        """Why a column is not the one; None where it can be."""
        values = self.values[column]
        if not values and not self.has_rows():
            return None
        if column == "remote_user" and self._is_log and not values:
            return "is empty"
        why = super().why_not(name, column, is_request=_is_request(name, column))
        if why is None and name == "event_time" and len(values) > 1 and not self.is_one_row:
            is_constant = len(set(map(str, values))) == 1
            return "never changes" if is_constant and column != "time_local" else None
        return why

    def like(self, name: str) -> list[str]:
        """The columns that are called so, the surest first."""
        names = (name, *names_of(EVENTS.name)[name])
        columns = self.called(names, with_units=name in ("latency_ms", "event_time", "ingested_at"))
        if name == "latency_ms":  # the time of a response is no duration
            return [column for column in columns if not column.endswith(".time")]
        return [column for column in columns if name != "event_time" or not column.startswith("response.")]

    def line(self, name: str, source: str) -> str:
        """The line of a column that is one of the file, or a part of one."""
        if not _is_request(name, source):
            return super().line(name, source)
        self.taken.discard(source)  # path and method are both in it
        self.shared.add(source)
        return as_expression(name, _part(source, _OF_REQUEST[name]))

    def made(self, name: str) -> str | None:
        """What can be made of other columns where none is it."""
        if name == "account_id":
            keys = [column for column in self.like("token") if column not in self.taken and self.values[column]]
            note = "known by its key, kept as a keyed hash: map accounts and subscriptions alike"
            return from_column(name, keys[0], "hashed = true", remark=note) if keys else None
        if name in _OF_AGENT:
            agents = {agent.replace("_", "") for agent in AGENTS}
            agent = next((c for c in self.inner if not agents.isdisjoint(known_as(c)) and self._is_said(c)), None)
            if agent is None:
                return None
            self.taken.add(agent)
            return as_expression(name, _part(agent, _OF_AGENT[name]))
        begun, ended = (next((c for c in self.inner if c == f"{side}.time"), None) for side in _SIDES)
        if name == "latency_ms" and begun and ended:
            self.taken |= {begun, ended}
            expression = f"epoch_ms({name_in_sql(ended)}::TIMESTAMPTZ) - epoch_ms({name_in_sql(begun)}::TIMESTAMPTZ)"
            return as_expression(name, expression)
        return None

    def details(self, name: str, source: str) -> tuple[list[str], str]:
        """What else the mapping has to say of a column, and what its reader should know."""
        if name != "latency_ms":
            return super().details(name, source)
        return ([], "") if source == name else self._details_of_duration(source)

    def _details_of_duration(self, source: str) -> tuple[list[str], str]:
        if self._is_log and source in _LOG_SECONDS:
            return ['unit = "s"'], ""
        values = self.values[source]
        with_unit = sum(seconds_of(str(value)) is not None for value in values)
        if with_unit and with_unit == len(values):
            return [], ""
        ending = folded(source).rpartition("_")[2]
        if ending in UNIT_ENDINGS:
            return ([] if UNIT_ENDINGS[ending] == "ms" else [f"unit = {quoted(UNIT_ENDINGS[ending])}"]), ""
        unit, is_unsure = unit_of_duration(values)
        if unit == "ms" and any(mark in self.columns for mark in _NANOSECONDS):
            unit, is_unsure = "ns", False
        if unit == "ms":
            return [], 'taken for milliseconds; add unit = "s" if it counts seconds'
        numbers = sorted(number for value in values if (number := number_of(value)) is not None)
        middle = 1000 * numbers[len(numbers) // 2] / UNITS_PER_SECOND[unit] if numbers else 0
        remark = f"by its size: half take {middle:.3g} ms or less{'; is it?' if is_unsure else ''}"
        return [f"unit = {quoted(unit)}"], remark

    def _all(self, column: str, shape: re.Pattern[str]) -> bool:
        values = self.values[column]
        return bool(values) and all(shape.fullmatch(str(value)) for value in values)

    def _is_said(self, column: str) -> bool:
        return bool(self.values[column]) or not self.has_rows() or self.files.log is not None


def _is_request(name: str, column: str) -> bool:
    """Whether a column is the first line of a request, of which path and method are parts."""
    return name in _OF_REQUEST and folded(column.rpartition(".")[2]) == "request" and not column.startswith(PARAMETER)


def _part(column: str, pattern: str) -> str:
    return f"nullif(regexp_extract({name_in_sql(column)}, '{pattern}', 1), '')"
