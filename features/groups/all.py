"""Every group of features, by name."""

from collections.abc import Sequence

import ibis.expr.types as ir

from features.definitions.catalog import cutoff_day_field, features_of_group
from features.definitions.feature import FeatureSpec
from features.groups.adoption import adoption_features
from features.groups.breadth import breadth_features
from features.groups.commercial import commercial_features
from features.groups.errors import error_features
from features.groups.inputs import Rollups
from features.groups.latency import latency_features
from features.groups.sdk import sdk_features
from features.groups.support import support_features
from features.groups.usage import usage_features
from features.windows import cutoff_days

__all__ = ["as_catalogued", "group_expressions"]


_TYPES = {"float": "float64", "int": "int64", "category": "string"}


def group_expressions(
    rollups: Rollups,
    population: ir.Table,
    cutoffs: ir.Table,
    *,
    subscriptions: ir.Table,
    touchpoints: ir.Table,
    grace_hours: float,
    has_value_endpoints: bool,
) -> dict[str, ir.Table]:
    """Every group as it is stored: account, cutoff, cutoff day, then the catalogue's features in order and type."""
    tables = {
        "usage": usage_features(rollups, population, cutoffs),
        "errors": error_features(rollups, population, cutoffs),
        "latency": latency_features(rollups, population, cutoffs),
        "breadth": breadth_features(rollups, population, cutoffs, has_value_endpoints=has_value_endpoints),
        "commercial": commercial_features(
            rollups, population, cutoffs, subscriptions=subscriptions, grace_hours=grace_hours
        ),
        "adoption": adoption_features(rollups, population, has_value_endpoints=has_value_endpoints),
        "sdk": sdk_features(rollups, population),
        "support": support_features(population, cutoffs, touchpoints=touchpoints, grace_hours=grace_hours),
    }
    return {group: as_catalogued(group, table, features_of_group(group)) for group, table in tables.items()}


def as_catalogued(group: str, table: ir.Table, features: Sequence[FeatureSpec]) -> ir.Table:
    """A group as it is stored: account, cutoff, cutoff day, then its features in order and type."""
    return table.select(
        "account_id",
        event_timestamp=table.cutoff,
        **{cutoff_day_field(group): cutoff_days(table.cutoff)},
        **{feature.name: table[feature.name].cast(_TYPES[feature.kind]) for feature in features},
    ).order_by("event_timestamp", "account_id")
