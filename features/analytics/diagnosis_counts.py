"""What a diagnosis is made from: the counts of every account at one cutoff, one query for each kind."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from features.analytics.daily_counts import STARTS_WITHIN_DAYS, daily_counts
from features.analytics.endpoint_calls import OBSERVED_DAYS, RECENT_DAYS, endpoint_calls, expected_failures
from features.analytics.lost_people import lost_people
from features.analytics.sdk_departures import SDK_DAYS, sdk_departures
from features.analytics.slow_endpoints import slow_endpoint_calls
from features.analytics.weekly_calls import weekly_calls
from features.engine.duckdb_engine import Engine
from features.home.home import Home
from features.rollup.slow_calls import slow_day
from features.rollup.tables import ROLLUPS, SLOW, USUAL
from features.schema import UTC_MICROSECONDS
from features.windows import days_of_ages

__all__ = ["DiagnosisCounts", "daily_counts_of", "diagnosis_counts"]


_CUTOFFS = pa.schema([("cutoff", UTC_MICROSECONDS)])
_PEOPLE = {"user": "user_id", "token": "token"}


@dataclass(frozen=True)
class DiagnosisCounts:
    """Counts as known at a cutoff, a frame for each kind; see the modules that say what a row is.

    Attributes
    ----------
    endpoints
        :func:`features.analytics.endpoint_calls.endpoint_calls` with the failures to be expected.
    slow
        :func:`features.analytics.slow_endpoints.slow_endpoint_calls`.
    people
        ``user`` and ``token`` to :func:`features.analytics.lost_people.lost_people`.
    weeks
        :func:`features.analytics.weekly_calls.weekly_calls`.
    sdk
        :func:`features.analytics.sdk_departures.sdk_departures`.
    """

    cutoff: datetime
    endpoints: pd.DataFrame
    slow: pd.DataFrame
    people: dict[str, pd.DataFrame]
    weeks: pd.DataFrame
    sdk: pd.DataFrame


def diagnosis_counts(home: Home, cutoff: datetime) -> DiagnosisCounts:
    """Count for every account, from the rollups as known at the cutoff."""
    with closing(home.engine()) as engine:
        cutoffs = _cutoff(engine, cutoff)
        endpoint, usage = (_rollup(engine, home, name, cutoff, OBSERVED_DAYS) for name in ("endpoint", "usage"))
        slow, usual = _slow(engine, home, cutoff, RECENT_DAYS)
        people = {
            name: lost_people(_rollup(engine, home, name, cutoff, OBSERVED_DAYS), cutoffs, person=person)
            for name, person in _PEOPLE.items()
        }
        return DiagnosisCounts(
            cutoff,
            _frame(engine, expected_failures(endpoint_calls(endpoint, cutoffs)), "method", "endpoint"),
            _frame(engine, slow_endpoint_calls(endpoint, slow, usual, cutoffs), "method", "endpoint"),
            {name: _frame(engine, people[name], person) for name, person in _PEOPLE.items()},
            _frame(engine, weekly_calls(usage, cutoffs), "weeks_before"),
            _frame(engine, sdk_departures(_rollup(engine, home, "sdk", cutoff, SDK_DAYS), usage, cutoffs)),
        )


def daily_counts_of(
    home: Home, cutoff: datetime, accounts: Sequence[str], *, given_up: Sequence[tuple[str, str, str]]
) -> pd.DataFrame:
    """:func:`features.analytics.daily_counts.daily_counts` of some accounts.

    ``given_up`` names the endpoints they gave up: account, method, endpoint.
    """
    with closing(home.engine()) as engine:
        of_accounts = engine.name_rows("accounts", pa.table({"account_id": pa.array(accounts, pa.string())}))
        usage, endpoint = (
            _rollup(engine, home, name, cutoff, STARTS_WITHIN_DAYS).semi_join(of_accounts, "account_id")
            for name in ("usage", "endpoint")
        )
        slow, usual = _slow(engine, home, cutoff, STARTS_WITHIN_DAYS)
        left = engine.name_rows("given_up", _given_up_rows(given_up))
        cutoffs = _cutoff(engine, cutoff)
        table = daily_counts(usage, endpoint, slow.semi_join(of_accounts, "account_id"), usual, left, cutoffs)
        return _frame(engine, table, "age_days")


def _given_up_rows(given_up: Sequence[tuple[str, str, str]]) -> pa.Table:
    schema = pa.schema([("account_id", pa.string()), ("method", pa.string()), ("endpoint", pa.string())])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in given_up], schema=schema)


def _cutoff(engine: Engine, cutoff: datetime) -> ir.Table:
    return engine.name_rows("cutoffs", pa.table({"cutoff": [cutoff]}, schema=_CUTOFFS))


def _rollup(engine: Engine, home: Home, name: str, cutoff: datetime, days: int) -> ir.Table:
    partitions = [f"day={day}" for day in days_of_ages(cutoff, [range(1, days + 1)])]
    return engine.name_parquet(name, _files(home, name, partitions), schema=ROLLUPS[name].schema)


def _slow(engine: Engine, home: Home, cutoff: datetime, days: int) -> tuple[ir.Table, ir.Table]:
    partitions = [slow_day(day) for day in days_of_ages(cutoff, [range(1, days + 1)])]
    return (
        engine.name_parquet("slow", _files(home, "slow", partitions), schema=SLOW.schema),
        engine.name_parquet("usual", _files(home, "usual", partitions), schema=USUAL),
    )


def _files(home: Home, name: str, partitions: Sequence[str]) -> list[Path]:
    store = home.stores.rollups
    manifest = store.manifest()
    return [
        file
        for partition in sorted(partitions)
        if partition in manifest.partitions
        for file in store.files(partition, name, manifest=manifest)
    ]


def _frame(engine: Engine, table: ir.Table, *order: str) -> pd.DataFrame:
    """The rows in the order of accounts and these columns, so that no answer depends on the engine's."""
    rows: pd.DataFrame = engine.to_arrow(table.drop("cutoff")).to_pandas()
    return rows.sort_values(["account_id", *order], ignore_index=True)
