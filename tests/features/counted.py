"""Logs of a handful of rows whose features are counted in memory: no file is written or read between log and answer.

Every group has a test that files say the same, ``groups/test_files.py``; the oracle and a leak test go by files alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.build.plan import CUTOFFS, Plan, activity_schema, plan
from features.definitions.catalog import GROUPS
from features.engine.duckdb_engine import Engine
from features.engine.prepared import Prepared, named, prepare
from features.rollup.expressions import countable_events, rollup_expressions
from features.rollup.months import past_schema
from features.rollup.tables import ROLLUPS
from features.schema import RAW_TABLES
from features.settings.fields import Settings
from features.subscriptions.known import account_states_table
from tests.features.conftest import Log


class Counter:
    """One engine in which the rows of a log become rollups, and these the features of some groups."""

    def __init__(self, engine: Engine, compiled_into: Path) -> None:
        self._engine, self._folder = engine, compiled_into
        self._count = functools.cache(_rollup_plan)
        self._plan = functools.cache(functools.partial(plan, compiled_into))

    def features(
        self,
        tables: Mapping[str, pa.Table],
        cutoffs: Sequence[datetime],
        *,
        groups: Sequence[str],
        settings: Settings,
    ) -> Iterator[dict[str, Any]]:
        """The rows of each group at each cutoff."""
        engine = self._engine
        for name, rows in tables.items():
            engine.name_rows(name, rows)
        days = {"renewal_grace_days": settings.renewal_grace_days, "reactivation_days": settings.reactivation_days}
        states = account_states_table(tables["subscriptions"], grace_hours=settings.grace_hours, **days)
        engine.name_rows("account_states", states)
        counted = self._count(settings.grace_hours, settings.value_endpoints, settings.slow_call_ms)
        chosen = self._plan(settings.grace_hours, has_value_endpoints=bool(settings.value_endpoints))
        wanted = _needed(chosen, groups)
        engine.name_prepared("countable", counted["countable"])
        for name in ROLLUPS:
            if name in wanted or name == "usage":
                counted_as = f"{name}_days" if name in chosen.days else name
                engine.name_prepared(counted_as, counted[name])
        past = past_schema(ROLLUPS["usage"].schema).names
        usage = named("usage_days", ROLLUPS["usage"].schema)
        engine.name_prepared("past", prepare(usage.select(*past)))
        engine.name_prepared("activity", prepare(usage.select(*activity_schema().names)))
        for name in ("cutoffs_together", "cutoffs"):
            engine.name_rows(name, pa.table({"cutoff": list(cutoffs)}, schema=CUTOFFS))
        steps = {**chosen.together, "population": chosen.here, **chosen.days, **chosen.shared}
        for name, step in steps.items():
            if name in wanted:
                engine.name_prepared(name, step)
        for group in groups:
            yield from engine.run_prepared(chosen.groups[group]).to_pylist()


def _rollup_plan(grace_hours: float, value_endpoints: tuple[str, ...], slow_call_ms: float) -> Mapping[str, Prepared]:
    events = named("events", RAW_TABLES["events"].schema)
    countable = prepare(countable_events(events, grace_hours=grace_hours, value_endpoints=value_endpoints))
    rollups = rollup_expressions(countable.named("countable"), slow_call_ms=slow_call_ms)
    return {"countable": countable, **{name: prepare(table) for name, table in rollups.items()}}


def _needed(chosen: Plan, groups: Sequence[str]) -> set[str]:
    """Names of the tables that these groups read, and those that these read."""
    steps = {**chosen.together, "population": chosen.here, **chosen.days, **chosen.shared}
    names = {*steps, *ROLLUPS}
    found: set[str] = set()
    texts = [chosen.groups[group].sql for group in groups]
    while texts:
        text = texts.pop()
        fresh = {name for name in names - found if f'"{name}"' in text}
        found |= fresh
        texts += [steps[name].sql for name in fresh if name in steps]
    return found


class CountedLog(Log):
    """A log whose features are counted in memory."""

    def __init__(self, counter: Counter, home: Path, **given: Any) -> None:
        super().__init__(home, **given)
        self._counter = counter

    def table(self, *cutoffs: datetime) -> dict[tuple[str, datetime], dict[str, Any]]:
        """Every feature by (account, cutoff), from the rows themselves."""
        tables = {name: pa.Table.from_pylist(self._rows[name], table.schema) for name, table in RAW_TABLES.items()}
        found: dict[tuple[str, datetime], dict[str, Any]] = {}
        rows = self._counter.features(tables, cutoffs, groups=self._builds or GROUPS, settings=self.settings)
        for row in rows:
            found.setdefault((row["account_id"], row["event_timestamp"]), {}).update(row)
        return found
