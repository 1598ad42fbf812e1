"""Tries a guessed mapping on the rows it was guessed from, so that nothing is proposed that ingest cannot read."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.engine.duckdb_engine import Engine, duckdb_engine
from features.engine.prepared import named, prepare
from features.exceptions import BellwetherError, counted
from features.home.secret import passing_key
from features.ingest.pseudonyms import Pseudonyms
from features.ingest.rules import check_rows, tidy_text
from features.ingest.texts import Marks, usual_texts
from features.schema import RawTable
from features.settings.fields import ColumnMapping, Settings, SourceSettings
from features.sources.mapping.apply import apply_mapping
from features.sources.mapping.cancellations import with_cancellations
from features.sources.mapping.declared import MappedFile, check_expressions, map_columns
from features.sources.mapping.guess import Guess
from features.sources.text.rows import Rows
from features.text_table import printable
from features.windows import as_cutoff

__all__ = ["tried"]


_ROWS_SHOWN = 3
_OLDEST = as_cutoff(Settings.model_fields["oldest_event"].default)
_TRIAL = "trial_rows"
_NO_ACCOUNT = "account-not-mapped"


def tried(guess: Guess, *, now: datetime) -> tuple[Guess, list[str]]:
    """The guess without what most rows cannot be read by, three rows as it maps them, and what it is unsure of."""
    if guess.looked.rows is None:
        return guess, ["There is no row to try it on."]
    with closing(duckdb_engine(threads=1, memory_limit="1GB")) as engine:
        for _ in guess.table.schema.names:
            try:
                given, read, marks = _read(engine, guess, guess.looked.rows, now=now)
            except BellwetherError as error:
                return guess, [f"It cannot be tried yet: {str(error).removesuffix(' Nothing was stored.')}"]
            if guess.decimal is None and any(mark == "," for _, mark in marks):
                guess = replace(guess, decimal=",")
                continue
            spoiled = _spoiled(given, read)
            if not spoiled:
                break
            guess = guess.without(spoiled)
    return guess, list(_report(guess, read, marks))


def _read(engine: Engine, guess: Guess, rows: Rows, *, now: datetime) -> tuple[pa.Table, pa.Table, Marks]:
    """The rows as they are given and as they are read, secrets hashed, and what is seen of decimal marks."""
    source = _source_of(guess)
    title, table = guess.looked.files.title, guess.table
    mapped = map_columns(table, source, guess.looked.columns, title=title)
    tests = check_expressions(engine, rows.table.schema, table, mapped, title=title)
    given = apply_mapping(engine, rows, mapped, table, tried=tests, title=title)
    given = given.append_column("source_file", pa.array(np.zeros(len(given), dtype=np.int32)))
    given = given.append_column("source_row", pa.array(np.asarray(rows.numbers, dtype=np.int64)))
    given, _ = with_cancellations(given, title=title)
    marks: Marks = set()
    given = usual_texts(given, table, mapped.columns, marks)
    written = _mapped_only(given, mapped)  # without words for nothing and for no limit, which are no faults
    hashed = [name for name, column in source.columns.items() if column.hashed]
    given = Pseudonyms(table, key=passing_key(), hashed=hashed)(given)
    tidy = tidy_text(named(_TRIAL, given.schema), table)
    checked = prepare(
        check_rows(tidy, table, mapped.columns, now=now, backfill=True, oldest=_OLDEST, strict=True, title=title)
    )
    with engine.lent(_TRIAL, given):
        read = engine.run_prepared(checked)
    return written, read, marks


def _source_of(guess: Guess) -> SourceSettings:
    source = SourceSettings.model_validate(tomllib.loads(guess.text)["sources"][guess.table.name])
    if "account_id" in source.columns or "account_id" in guess.looked.columns:
        return source
    # The other columns can be tried all the same.
    return source.model_copy(update={"columns": {**source.columns, "account_id": ColumnMapping(constant=_NO_ACCOUNT)}})


def _mapped_only(given: pa.Table, mapped: MappedFile) -> pa.Table:
    return given.select([name for name in mapped.columns if mapped.columns[name].source is not None])


def _spoiled(given: pa.Table, read: pa.Table) -> dict[str, str]:
    """The columns of which more than half of the values cannot be read."""
    reasons = [str(reason or "") for reason in read["reason"].to_pylist()]
    spoiled = {}
    for name in given.column_names:
        is_given = [str(value or "").strip() not in ("", "-") for value in _plain(given[name]).to_pylist()]
        values = read[name].to_pylist()
        pairs = zip(is_given, values, reasons, strict=True)
        bad = sum(has and (value is None or reason.startswith(f"{name}_")) for has, value, reason in pairs)
        if bad * 2 > sum(is_given):
            spoiled[name] = f"{counted(bad, 'value|values')} of {sum(is_given):,} in its column cannot be read"
    return spoiled


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _report(guess: Guess, read: pa.Table, marks: Marks) -> Iterator[str]:
    rows = read.to_pylist()
    good = [row for row in rows if row["reason"] is None]
    yield f"Tried on {counted(len(rows), 'row|rows')}: {len(good):,} can be read."
    reasons = sorted({row["reason"] for row in rows if row["reason"] is not None})
    if reasons:
        counts = (f"{reason} {sum(row['reason'] == reason for row in rows)}" for reason in reasons)
        yield f"The others would go to quarantine: {', '.join(counts)}."
    for number, row in enumerate(good[:_ROWS_SHOWN], 1):
        yield f"  row {number}: {', '.join(_shown(row, guess.table))}"
    unsure = [f"{name}: {remark}" for name, remark in _unsure(guess)]
    if guess.decimal is not None and any(mark == "." for _, mark in marks):
        unsure.append("decimal: some numbers have decimal commas, some decimal points; which is it?")
    if unsure:
        yield f"Unsure of: {'; '.join(unsure)}."


def _shown(row: Mapping[str, Any], table: RawTable) -> Iterator[str]:
    for name in table.schema.names:
        value = row.get(name)
        if value is None or value is False or name in ("ingested_at", "known_at") or value == _NO_ACCOUNT:
            continue
        if name in table.secret:
            value = "a keyed hash"
        elif isinstance(value, datetime):
            value = value.isoformat(timespec="milliseconds")
        yield f"{name} {printable(str(value))}"


def _unsure(guess: Guess) -> Iterator[tuple[str, str]]:
    """What a line asks its reader to look at, and what is required and has none."""
    for name, line in guess.lines.items():
        if not line.startswith("#"):
            remark = line.rpartition("}  # ")[2] if "}  # " in line else ""
            if "?" in remark or "taken for" in remark:
                yield name, remark
        elif name in guess.table.required:
            yield name, line.partition(": ")[2]
