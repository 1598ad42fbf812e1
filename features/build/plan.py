"""The expressions that every build runs, compiled once: who has a row at a cutoff, and each group of features."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from features.engine.choice import EngineName, Prepare, compiled_file, preparing
from features.engine.prepared import Prepared, named
from features.groups.adoption import settled
from features.groups.all import group_expressions
from features.groups.endpoints import endpoint_windows
from features.groups.inputs import ACTIVITY, Inputs, Rollups
from features.groups.population import population_of
from features.groups.releases import releases
from features.groups.sdk import sdk_windows
from features.groups.usage import daily_calls
from features.rollup.months import past_schema
from features.rollup.tables import ROLLUPS
from features.schema import ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS, UTC_MICROSECONDS
from features.storage.compile_cache import compiled
from features.subscriptions.known import ACCOUNT_STATES

__all__ = ["CUTOFFS", "Plan", "activity_schema", "plan"]


CUTOFFS = pa.schema([("cutoff", UTC_MICROSECONDS)])
"""The columns of a table of cutoffs."""


@dataclass(frozen=True)
class Plan:
    """The prepared expressions of a build, by what they make; each reads tables by name.

    Attributes
    ----------
    together
        What is asked of the whole history, by the name its rows are to have, in the order of making: the population at
        ``cutoffs_together``, from ``past`` (the usage rollup without its days), ``accounts`` and ``subscriptions``;
        since when accounts are settled, from it and ``past``; the releases of SDKs, from ``release`` and
        ``cutoffs_together``.
    here
        The rows of ``population_together`` at ``cutoffs``; to be named ``population``.
    accounts
        ``cutoff`` and ``accounts``: how many of ``population``.
    days
        What several groups ask of the days in reach, read once: from ``<name>_days``, its rows to be named by its key.
    shared
        What several groups ask of a rollup, from it and ``cutoffs``; its rows are to be named by its key here.
    groups
        Every group as it is stored, from ``population``, ``cutoffs``, ``account_states``, ``touchpoints``, the rollups
        by name, ``activity``, ``together`` and ``shared``.
    """

    together: Mapping[str, Prepared]
    here: Prepared
    accounts: Prepared
    days: Mapping[str, Prepared]
    shared: Mapping[str, Prepared]
    groups: Mapping[str, Prepared]


def plan(folder: Path, grace_hours: float, *, has_value_endpoints: bool, engine: EngineName = "duckdb") -> Plan:
    """The expressions of ``build``; seconds of compiling, so what comes of it is kept in ``folder``."""

    def compile_them() -> Mapping[str, Prepared]:
        return _flat(_compiled_plan(preparing(engine), grace_hours, has_value_endpoints=has_value_endpoints))

    prepared = compiled(
        compiled_file(folder, "build", engine), [engine, grace_hours, has_value_endpoints], compile_them
    )
    together, days, shared, groups = (_below(prepared, part) for part in ("together", "days", "shared", "groups"))
    return Plan(together, prepared["here"], prepared["accounts"], days, shared, groups)


def _flat(plan: Plan) -> dict[str, Prepared]:
    below = {"together": plan.together, "days": plan.days, "shared": plan.shared, "groups": plan.groups}
    return {
        "here": plan.here,
        "accounts": plan.accounts,
        **{f"{part}.{name}": expression for part, several in below.items() for name, expression in several.items()},
    }


def _below(prepared: Mapping[str, Prepared], part: str) -> dict[str, Prepared]:
    return {
        name.removeprefix(f"{part}."): expression
        for name, expression in prepared.items()
        if name.startswith(f"{part}.")
    }


def _compiled_plan(prepare: Prepare, grace_hours: float, *, has_value_endpoints: bool) -> Plan:
    subscriptions = named("subscriptions", SUBSCRIPTIONS.schema)
    rollups = {name: named(name, rollup.schema) for name, rollup in ROLLUPS.items()}
    cutoffs_together = named("cutoffs_together", CUTOFFS)
    past = named("past", past_schema(ROLLUPS["usage"].schema))
    everybody = prepare(
        population_of(
            past, named("accounts", ACCOUNTS.schema), subscriptions, cutoffs_together, grace_hours=grace_hours
        )
    )
    population_together = everybody.named("population_together")
    together = {
        "population_together": everybody,
        "settled": prepare(settled(past, population_together, has_value_endpoints=has_value_endpoints)),
        "releases": prepare(releases(rollups.pop("release"), cutoffs_together)),
    }
    cutoffs = named("cutoffs", CUTOFFS)
    population = everybody.named("population")
    days = {"usage": prepare(_without_times(named("usage_days", ROLLUPS["usage"].schema)))}
    rollups |= {name: prepared.named(name) for name, prepared in days.items()}
    rollups["activity"] = named("activity", activity_schema())
    shared = {
        "daily": prepare(daily_calls(rollups["usage"], cutoffs)),
        "endpoint_windows": prepare(endpoint_windows(rollups["endpoint"], cutoffs)),
        "sdk_windows": prepare(sdk_windows(rollups["sdk"], cutoffs)),
    }
    counted = {name: prepared.named(name) for name, prepared in {**shared, **together}.items()}
    counted.pop("population_together")
    groups = group_expressions(
        Inputs(
            Rollups(**rollups, **counted),
            population,
            cutoffs,
            account_states=named("account_states", ACCOUNT_STATES),
            touchpoints=named("touchpoints", TOUCHPOINTS.schema),
            grace_hours=grace_hours,
            has_value_endpoints=has_value_endpoints,
        )
    )
    return Plan(
        together,
        prepare(population_together.semi_join(cutoffs, "cutoff")),
        prepare(population.group_by("cutoff").agg(accounts=population.count())),
        days,
        shared,
        {group: prepare(table) for group, table in groups.items()},
    )


def activity_schema() -> pa.Schema:
    """The columns of the usage rollup that the longest windows read."""
    usage = ROLLUPS["usage"].schema
    return pa.schema([usage.field(name) for name in ACTIVITY])


def _without_times(usage: ir.Table) -> ir.Table:
    """First and last calls, and days ever active, are of the population; windows count days."""
    return usage.drop("active_days", *(name for name in usage.columns if name.endswith("_time")))
