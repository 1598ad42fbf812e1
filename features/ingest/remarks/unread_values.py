"""Tells of optional values that could not be read, of decimal commas, and of hours that a clock shows twice."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.left_out import values_left_out
from features.ingest.loads import LeftOut
from features.ingest.rules import TOTALS, is_totals
from features.ingest.staged import Staged
from features.ingest.texts import THOUSANDS, UNIT
from features.ingest.times import NAIVE, SKIPPED, TWICE
from features.schema import ACCOUNTS, EVENTS

__all__ = ["unread_notes"]


_WHAT = {
    "_unreadable": "unreadable",
    "_out_of_range": "out of range",
    "_negative": "negative",
    "_in_future": "in the future",
    "_too_old": "before oldest_event",
    NAIVE: "a time without a zone",
    "_nested": "an object or a list",
    "_expression_failed": "its expression failed",
}
_MOST_WORDS = 8
_GOOD = re.compile(
    r"ok|success|succeeded|successful|completed?|done|passed|finished|accepted|delivered|allow(ed)?", re.IGNORECASE
)
_BAD = re.compile(
    ".*(fail|error|denied|refus|reject|time.?out|timed|abort|cancel|invalid|forbid|block).*", re.IGNORECASE
)
_CURRENCY = re.compile(r"[^\d.,]+")
_TIME = re.compile(r"[\d\s/.,:+ZTAPMapm-]{4,40}")
_SHAPES = (
    (r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2} [AaPp][Mm]", "%m/%d/%Y %I:%M:%S %p"),
    (r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2} [AaPp][Mm]", "%m/%d/%Y %I:%M %p"),
    (r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2}", "%m/%d/%Y %H:%M:%S"),
    (r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}", "%m/%d/%Y %H:%M"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y"),
    (r"\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}:\d{2}", "%d.%m.%Y %H:%M:%S"),
    (r"\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}", "%d.%m.%Y %H:%M"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
)
_UNITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}  # by the digits of an epoch of our days


def unread_notes(engine: Engine, staged: Staged) -> list[str]:
    """Sentences about values that were left out, read by a guess, or may mean something else."""
    told = values_left_out(engine, staged)
    marks = Counter({mark: values.rows for mark, values in told.items()})
    notes = [*_left_out(engine, staged, marks), *_stripped(staged, told), *_decimals(staged), *_units(staged)]
    notes += _amounts(staged)
    return [
        *notes,
        *_changes(staged, marks),
        *_times(engine, staged),
        *_too_old(engine, staged),
        *_totals(engine, staged),
    ]


def _left_out(engine: Engine, staged: Staged, marks: Counter[str]) -> Iterator[str]:
    table = staged.table.name
    for name in staged.brought:
        reasons = {what: marks[f"{name}{ending}"] for ending, what in _WHAT.items() if marks[f"{name}{ending}"]}
        if not reasons:
            continue
        parts = ", ".join(f"{what} {rows:,}" for what, rows in reasons.items())
        text = (
            f"{table}: {name} is null in {counted(sum(reasons.values()), 'row|rows')} that gave something else "
            f"({parts}; the first in {_first(engine, staged, name)}); the rows are stored."
        )
        if "a time without a zone" in reasons:
            text += f' Say its zone: time_zone = "UTC" under [sources.{table}.columns.{name}].'
        if name == "status" and "unreadable" in reasons:
            text += _status_line(engine, staged)
        if any(columns.get(name) == "mixed" for columns in staged.commas.values()):
            text += " Its file has decimal points and decimal commas, so that 1.299 may be either."
        if name in ("mrr", "value") and "unreadable" in reasons:
            text += f' Say which decimal mark it has: decimal = "." or "," under [sources.{table}].'
        yield text + " strict_values = true refuses such rows."


def _first(engine: Engine, staged: Staged, name: str) -> str:
    rows = staged.rows
    pattern = f"(^|,){name}({'|'.join(_WHAT)})(,|$)"
    first = rows.filter(rows.reason.isnull(), rows.marks.re_search(pattern)).order_by("source_file", "source_row")
    row: dict[str, Any] = engine.to_arrow(first.select("source_file", "source_row").limit(1)).to_pylist()[0]
    return f"{staged.paths[row['source_file']].name} {row['source_row']}"


def _status_line(engine: Engine, staged: Staged) -> str:
    """The mapping that makes numbers of the words a source has for its statuses."""
    rows = staged.rows.filter(staged.rows.words.notnull()).group_by("words").agg(rows=lambda t: t.count())
    frequent = rows.order_by(rows.rows.desc(), "words").limit(_MOST_WORDS)
    words = sorted(engine.to_arrow(frequent)["words"].to_pylist())
    source = staged.column("status").source
    if not words or source is None:
        return ""
    meanings = {word: "200" if _GOOD.fullmatch(word) else "500" if _BAD.fullmatch(word) else "NULL" for word in words}
    quoted = {word: word.replace("'", "''") for word in meanings}
    cases = " ".join(f"WHEN '{quoted[word]}' THEN {meaning}" for word, meaning in meanings.items())
    column = '"' + source.replace('"', '""') + '"'
    line = json.dumps(f"CASE {column} {cases} END", ensure_ascii=False)
    return f" Say what its words mean under [sources.{staged.table.name}.columns]: status = {{ expression = {line} }}."


def _decimals(staged: Staged) -> Iterator[str]:
    commas = {place: names for place, names in staged.commas.items() if "." not in names.values()}
    if commas:
        columns = sorted({name for names in commas.values() for name in names})
        files = listed([staged.paths[place].name for place in commas])
        verb = "writes" if len(commas) == 1 else "write"
        yield (
            f"{staged.table.name}: {files} {verb} decimal commas in {listed(columns)}, so all numbers there are read "
            f'so: 1.299,50 is 1299.5. Say it for good: decimal = "," under [sources.{staged.table.name}].'
        )


def _stripped(staged: Staged, told: Mapping[str, LeftOut]) -> Iterator[str]:
    for name in staged.brought:
        values = told.get(f"{name}_stripped")
        if values is not None:
            yield (
                f"{staged.table.name}: {name} was stripped of spaces or invisible characters around it in "
                f"{counted(values.rows, 'row|rows')} (the first: {'; '.join(values.examples)})."
            )


def _units(staged: Staged) -> Iterator[str]:
    table = staged.table.name
    files = [staged.paths[place].name for place, seen in sorted(staged.seen.items()) if ("latency_ms", UNIT) in seen]
    if files:
        unit = staged.column("latency_ms").unit or "ms"
        yield (
            f"{table}: latency_ms says its unit in {listed(files)}, as in 12ms, and is read by it; a number without "
            f"one counts {unit}."
        )


def _amounts(staged: Staged) -> Iterator[str]:
    """Amounts in several currencies, and amounts that may be a thousand times as large."""
    table = staged.table.name
    seen = {place: {mark for name, mark in marks if name == "mrr"} for place, marks in staged.seen.items()}
    currencies = {mark for marks in seen.values() for mark in marks if _CURRENCY.fullmatch(mark)}
    if len(currencies) > 1:
        yield f"{table}: mrr is in {listed(sorted(currencies))}, and nothing is converted. Make it one currency."
    unclear = {place: sorted(mark for mark in marks if mark[0].isdigit()) for place, marks in seen.items()}
    unclear = {
        place: [mark for mark in amounts if mark != THOUSANDS]
        for place, amounts in unclear.items()
        if "." not in seen[place] and place not in staged.commas
    }
    amount = min((amounts[0] for amounts in unclear.values() if amounts), default=None)
    if amount is not None:
        files = listed([staged.paths[place].name for place, amounts in unclear.items() if amounts])
        yield (
            f"{table}: mrr has amounts such as {amount} in {files}, read as {amount} and not as "
            f"{amount.replace('.', '')}. If the point stands between thousands, say "
            f'decimal = "," under [sources.{table}]; if not, decimal = ".".'
        )


def _changes(staged: Staged, marks: Counter[str]) -> Iterator[str]:
    for name in staged.brought:
        zone, table = staged.column(name).time_zone, staged.table.name
        if marks[f"{name}{TWICE}"]:
            rows = counted(marks[f"{name}{TWICE}"], "row lies|rows lie")
            yield (
                f"{table}: the {name} of {rows} in the hour that clocks in {zone} show twice when summer time ends; "
                "taken for the second. Times with an offset, or in UTC, would say which."
            )
        if marks[f"{name}{SKIPPED}"]:
            rows = counted(marks[f"{name}{SKIPPED}"], "row lies|rows lie")
            yield (
                f"{table}: the {name} of {rows} in the hour that clocks in {zone} leave out when summer time begins; "
                "taken for the hour after it. Look whether the zone is right."
            )


def _times(engine: Engine, staged: Staged) -> Iterator[str]:
    """One way to map a time that could not be read."""
    name = "event_time" if staged.table is EVENTS else "occurred_at"
    if name not in staged.brought:
        return
    rows = staged.rows.filter(staged.rows.reason == f"{name}_unreadable").order_by("source_file", "source_row")
    first = engine.to_arrow(rows.select("given").limit(1)).to_pylist()
    if not first:
        return
    value = str(json.loads(first[0]["given"]).get(name) or "").strip()
    column = staged.column(name)
    place = f"[sources.{staged.table.name}.columns]"
    source = column.source or name
    shown = f", such as {value}," if _TIME.fullmatch(value) else ""
    digits = value.partition(".")[0]
    if digits.isdigit() and len(digits) in _UNITS:
        line = f"{{ from = {json.dumps(source)}, unit = {json.dumps(_UNITS[len(digits)])} }}"
    else:
        form = next((form for shape, form in _SHAPES if re.fullmatch(shape, value)), "%Y-%m-%d %H:%M:%S")
        quoted = '"' + source.replace('"', '""') + '"'
        line = f'{{ expression = {json.dumps(f"try_strptime({quoted}, {form!r})")}, time_zone = "UTC" }}'
    yield f"{staged.table.name}: {_an(name)} that cannot be read{shown} can be mapped under {place}: {name} = {line}."


def _an(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _too_old(engine: Engine, staged: Staged) -> Iterator[str]:
    rows = engine.count(staged.rows.filter(staged.rows.reason.endswith("_too_old")))
    if rows:
        yield (
            f"{staged.table.name}: {counted(rows, 'row is|rows are')} dated before the setting oldest_event and went "
            "to quarantine. Set it to an earlier date if they are real; else look at the unit and zone of the mapping."
        )


def _totals(engine: Engine, staged: Staged) -> Iterator[str]:
    lines = engine.count(staged.rows.filter(staged.rows.reason == TOTALS))
    if lines:
        yield (
            f"{staged.table.name}: {counted(lines, 'line looks|lines look')} like totals, with neither name nor date, "
            "and went to quarantine. Leave it out of the export; an account that is called so needs a name or a date."
        )
    if staged.table is EVENTS:
        return
    good = staged.rows.filter(staged.rows.reason.isnull())
    is_called_so = is_totals(good.account_id)
    if staged.table is ACCOUNTS:
        is_called_so |= is_totals(good.name)
    called_so = good.filter(is_called_so.fill_null(False)).select("account_id").distinct().order_by("account_id")
    names = engine.to_arrow(called_so)["account_id"].to_pylist()
    if names:
        yield (
            f"{staged.table.name}: {counted(len(names), 'account is|accounts are')} called like a line of totals and "
            f"stored, with a name or a date: {listed(names)}. If it is no account, leave it out of the export and "
            "ingest into a new home."
        )
