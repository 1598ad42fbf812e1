"""Every group of features, by name."""

from collections.abc import Callable, Mapping, Sequence

import ibis.expr.types as ir

from features.definitions.catalog import cutoff_day_field, features_of_group
from features.definitions.feature import FeatureSpec
from features.groups.adoption import adoption_features
from features.groups.breadth import breadth_features
from features.groups.commercial import commercial_features
from features.groups.errors import error_features
from features.groups.inputs import Inputs
from features.groups.latency import latency_features
from features.groups.recency import recency_features
from features.groups.sdk import sdk_features
from features.groups.support import support_features
from features.groups.usage import usage_features
from features.windows import cutoff_days

__all__ = ["GROUPS", "as_catalogued", "group_expressions"]


_TYPES = {"float": "float64", "int": "int64", "category": "string"}


GROUPS: Mapping[str, Callable[[Inputs], ir.Table]] = {
    "usage": usage_features,
    "errors": error_features,
    "latency": latency_features,
    "breadth": breadth_features,
    "commercial": commercial_features,
    "adoption": adoption_features,
    "sdk": sdk_features,
    "support": support_features,
    "recency": recency_features,
}
"""How each group of the catalogue is made; what its features mean is said in ``features.definitions``."""


def group_expressions(inputs: Inputs) -> dict[str, ir.Table]:
    """Every group as it is stored: account, cutoff, cutoff day, then the catalogue's features in order and type."""
    return {group: as_catalogued(group, make(inputs), features_of_group(group)) for group, make in GROUPS.items()}


def as_catalogued(group: str, table: ir.Table, features: Sequence[FeatureSpec]) -> ir.Table:
    """A group as it is stored: account, cutoff, cutoff day, then its features in order and type."""
    return table.select(
        "account_id",
        event_timestamp=table.cutoff,
        **{cutoff_day_field(group): cutoff_days(table.cutoff)},
        **{feature.name: table[feature.name].cast(_TYPES[feature.kind]) for feature in features},
    ).order_by("event_timestamp", "account_id")
