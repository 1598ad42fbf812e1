"""The catalogue of what users declare: the features of a metric, and of an external table, in the words of reasons."""

from collections.abc import Iterator
from functools import lru_cache

from features.definitions.declared import ExternalTable, Metric
from features.definitions.feature import Family, FeatureSpec
from features.definitions.phrases import NULL_COUNT
from features.fingerprint import digest

__all__ = [
    "carried_by",
    "metric_counts",
    "metric_family",
    "metric_features",
    "table_families",
    "table_features",
    "table_rows",
]


_VERSION = 1  # raise it when what a metric or a table means changes: no model then reads a feature of before
_CARRIED = {
    "status": "status",
    "endpoint": "endpoints",
    "token": "tokens",
    "user_id": "users",
    "sdk": "SDKs",
    "latency_ms": "latencies",
}
"""Columns of an event that a source may lack, and how a null rule calls what is missing then."""


def metric_counts(metric: Metric) -> str:
    """Digest of what the daily counts of a metric depend on; its windows and its percentile are taken of them."""
    return digest([_VERSION, metric.of, metric.where, metric.over, metric.column])


def table_rows(table: ExternalTable) -> str:
    """Digest of what the stored rows of an external table depend on."""
    return digest([_VERSION, table.path, sorted(table.columns)])


def metric_family(name: str, metric: Metric) -> Family:
    """The family of a metric: all its windows, so that reasons name it once."""
    return _family(name, metric.title)


def metric_features(name: str, metric: Metric, group: str) -> Iterator[FeatureSpec]:
    """One feature per window of a metric."""
    title = _capital(metric.title or _plain(name))
    for days in metric.window_days:
        feature = f"{name}_{days}d"
        window = "in the last day" if days == 1 else f"in the last {days} days"
        lacks = sorted({_CARRIED[column] for column in carried_by(metric)})
        null_rule = f"null when the source has no {' or '.join(lacks)}; 0 over nothing" if lacks else NULL_COUNT
        if not _is_zero_over_nothing(metric):
            null_rule = "null without such calls in the window"
        unit, wording = _unit(metric)
        yield FeatureSpec(
            name=feature,
            group=group,
            family=name,
            window_days=days,
            unit=unit,
            kind="int" if metric.of in ("count", "distinct") else "float",
            null_rule=null_rule,
            meaning=f"{_formula(metric)}, last {days} days" if days > 1 else f"{_formula(metric)}, last day",
            text=f"{title}: {{{feature}:{wording}}} {window}.",
            than=("more than for {}", "less than for {}"),
            churn=metric.risk,
            definition=digest([metric_counts(metric), metric.percentile, days, carried_by(metric)]),
        )


def table_families(table_name: str, table: ExternalTable) -> Iterator[Family]:
    """Every column of an external table is a family of its own: nobody knows which belong together."""
    for column, about in table.columns.items():
        yield _family(f"{table_name}_{column}", about.title)


def table_features(table_name: str, table: ExternalTable, group: str) -> Iterator[FeatureSpec]:
    """One feature per column of an external table: its value in the newest row known at the cutoff."""
    age = f"null without a row of the last {table.max_age_days} days" if table.max_age else "null before the first row"
    for column, about in table.columns.items():
        feature = f"{table_name}_{column}"
        title = _capital(about.title or _plain(feature))
        text = f"{title}: {{{feature}:count}}, as last known."
        yield FeatureSpec(
            name=feature,
            group=group,
            family=feature,
            window_days=table.max_age_days,
            unit=about.unit,
            kind="float",
            null_rule=f"{age}, or where it says nothing",
            meaning=f"{column} in the newest row of the external table {table_name} known at the cutoff",
            text=text,
            than=("more than for {}", "less than for {}"),
            churn=about.risk,
            past_text=text,  # a number may be negative
            limits=(None, None),
            definition=digest([table_rows(table), table.max_age_days, column]),
        )


def carried_by(metric: Metric) -> tuple[str, ...]:
    """Columns a count, sum or distinct looks at of which a source may have none: then it counts nothing, not 0."""
    if not _is_zero_over_nothing(metric):
        return ()
    return tuple(name for name in _CARRIED if name == metric.column or name in _columns_of(metric.where))


@lru_cache(maxsize=256)
def _columns_of(condition: str | None) -> frozenset[str]:
    from features.engine.sql import columns_in

    return frozenset(name.lower() for name in columns_in(condition or "true"))


def _is_zero_over_nothing(metric: Metric) -> bool:
    return metric.of in ("count", "sum", "distinct")


def _family(name: str, title: str | None) -> Family:
    return Family(name, _capital(title or _plain(name)), is_actionable=True)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _unit(metric: Metric) -> tuple[str, str]:
    """Unit of the catalogue, and format of the sentence."""
    if metric.of in ("share", "ratio"):
        return ("share", "percent") if metric.of == "share" else ("ratio", "count")
    if metric.of in ("count", "distinct"):
        return ("calls" if metric.of == "count" else f"different values of {metric.column}"), "count"
    return ("ms", "ms") if metric.column == "latency_ms" else ("number", "count")


def _formula(metric: Metric) -> str:
    """A metric in the words of its declaration."""
    where = f" where {metric.where}" if metric.where else ""
    if metric.of == "count":
        return f"calls{where}"
    if metric.of == "share":
        return f"share of calls{where} among " + (f"those where {metric.over}" if metric.over else "all calls")
    if metric.of == "ratio":
        return f"calls{where}, over calls where {metric.over}"
    if metric.of == "percentile":
        return f"percentile {metric.percentile} of {metric.column}{where}"
    return f"{metric.of} of {metric.column}{where}".replace("distinct of", "different values of")
