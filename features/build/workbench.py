"""Points the engine at one cutoff's files after the other, so that expressions compiled once run over each."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

import ibis.expr.types as ir
import pyarrow as pa

from features.build.declared_plan import CustomGroups
from features.build.plan import CUTOFFS, activity_schema, plan
from features.engine.choice import portion
from features.engine.duckdb_engine import Engine
from features.groups.inputs import REACH, REMEMBERED, WHOLE
from features.groups.population import population_of
from features.home.home import Home
from features.home.raw_tables import read_records
from features.rollup.months import event_days, past_files, past_schema
from features.rollup.tables import ROLLUPS
from features.schema import ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS
from features.storage.derived import batches
from features.storage.manifest import Manifest
from features.storage.partition_files import write_parts
from features.subscriptions.known import account_states_table
from features.windows import days_of_ages

__all__ = ["Workbench", "account_states_of", "population"]


_TOGETHER = 32  # cutoffs whose population is found in one pass over the history


def population(engine: Engine, home: Home, cutoffs: ir.Table) -> ir.Table:
    """Accounts known at each cutoff of a table with the column ``cutoff``; see ``features.groups.population``."""
    days = _days(home, home.stores.rollups.manifest(), "usage")
    past = engine.name_parquet("past", days, schema=past_schema(ROLLUPS["usage"].schema))
    raw = home.stores.raw
    accounts = engine.name_parquet("accounts", raw.files("accounts", "accounts"), schema=ACCOUNTS.schema)
    subscriptions = engine.name_parquet(
        "subscriptions",
        raw.files("subscriptions", "subscriptions"),
        schema=SUBSCRIPTIONS.schema,
        absent_as_null=SUBSCRIPTIONS.added,
    )
    return population_of(past, accounts, subscriptions, cutoffs, grace_hours=home.settings.grace_hours)


def account_states_of(home: Home) -> pa.Table:
    """What every account has subscribed to, as each cutoff knows it."""
    settings = home.settings
    return account_states_table(
        read_records(home, SUBSCRIPTIONS),
        grace_hours=settings.grace_hours,
        renewal_grace_days=settings.renewal_grace_days,
        reactivation_days=settings.reactivation_days,
    )


class Workbench:
    """An engine in which the names of the plan's tables stand for what some cutoffs see."""

    def __init__(self, home: Home, rollups: Manifest, *, compiled_into: Path, spill: Path) -> None:
        self._home, self._manifest = home, rollups
        self._store = home.stores.rollups
        self._plan = plan(
            compiled_into,
            home.settings.grace_hours,
            has_value_endpoints=bool(home.settings.value_endpoints),
            engine=home.settings.engine,
        )
        self._custom = CustomGroups(home, self._plan.here.named("population"), compiled_into=compiled_into)
        self._engine = home.working_engine(spill=spill)
        raw = home.stores.raw
        for table in (ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS):
            self._engine.name_parquet(
                table.name, raw.files(table.name, table.name), schema=table.schema, absent_as_null=table.added
            )
        self._engine.name_rows("account_states", account_states_of(home))
        self._cutoffs_together: list[datetime] = []
        self._batch: list[datetime] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def batches(self, cutoffs: Sequence[datetime]) -> Iterator[list[datetime]]:
        """Cutoffs together as far as the rollups in their reach stay within a size: less planning, bounded memory."""
        yield from batches(cutoffs, size=self._reach_bytes, most=portion(self._home.settings.engine).rollup_bytes)

    def _reach_bytes(self, cutoff: datetime) -> int:
        files = [
            *(file for name in REACH for file in self._files(name, [cutoff], REACH[name])),
            *self._custom.files(cutoff),
        ]
        return sum(file.stat().st_size for file in files)

    def turn_to(self, batch: Sequence[datetime], order: Sequence[datetime]) -> None:
        """Name to the engine, for every table, the rows these cutoffs see; ``order`` is that of all cutoffs to come."""
        if not set(batch) <= set(self._cutoffs_together):
            at = order.index(batch[0])
            self._cutoffs_together = list(order[at : at + max(_TOGETHER, len(batch))])
            files = past_files(self._store, self._manifest, self._cutoffs_together)
            self._engine.name_parquet("past", files, schema=past_schema(ROLLUPS["usage"].schema))
            for name in WHOLE:
                files = _days(self._home, self._manifest, name, before=self._cutoffs_together[-1])
                self._engine.name_parquet(name, files, schema=ROLLUPS[name].schema)
            self._engine.name_rows("cutoffs_together", _cutoff_rows(self._cutoffs_together))
            for name, prepared in self._plan.together.items():
                self._engine.name_prepared(name, prepared)
        self._batch = list(batch)
        self._engine.name_rows("cutoffs", _cutoff_rows(batch))
        self._engine.name_prepared("population", self._plan.here)
        for name in REACH:
            named = f"{name}_days" if name in self._plan.days else name
            self._engine.name_parquet(named, self._files(name, batch, REACH[name]), schema=ROLLUPS[name].schema)
        remembered = self._files("usage", batch, [REMEMBERED])
        self._engine.name_parquet("activity", remembered, schema=activity_schema())
        for name, prepared in self._plan.days.items():
            self._engine.name_prepared(name, prepared)
        for name, prepared in self._plan.shared.items():
            self._engine.name_prepared(name, prepared)
        self._custom.turn_to(self._engine, batch)

    def accounts(self) -> dict[datetime, int]:
        """Accounts known at each cutoff turned to."""
        counted = self._engine.run_prepared(self._plan.accounts)
        accounts = {row["cutoff"]: row["accounts"] for row in counted.to_pylist()}
        return {cutoff: accounts.get(cutoff, 0) for cutoff in self._batch}

    def write(self, group: str, paths: Mapping[datetime, Path]) -> dict[datetime, int]:
        """Write one group, a file per cutoff turned to; returns the rows of each."""
        expression = self._custom.prepared(group) if group in self._custom else self._plan.groups[group]
        rows = self._engine.run_prepared(expression)
        return write_parts(rows, ("event_timestamp", "account_id"), paths)

    def _files(self, name: str, batch: Sequence[datetime], ages: Sequence[range]) -> list[Path]:
        """Files of one rollup, of the days that have one of these ages at one of these cutoffs."""
        reached = {f"day={day.isoformat()}" for cutoff in batch for day in days_of_ages(cutoff, ages)}
        days = sorted(reached & self._manifest.partitions.keys())
        return [file for day in days for file in self._store.files(day, name, manifest=self._manifest)]


def _cutoff_rows(cutoffs: Sequence[datetime]) -> pa.Table:
    return pa.table({"cutoff": list(cutoffs)}, schema=CUTOFFS)


def _days(home: Home, rollups: Manifest, name: str, *, before: datetime | None = None) -> list[Path]:
    """Files of one rollup, of event days before a cutoff or of all."""
    store = home.stores.rollups
    end = "day=~" if before is None else f"day={before.date().isoformat()}"
    return [file for day in event_days(rollups) if day < end for file in store.files(day, name, manifest=rollups)]
