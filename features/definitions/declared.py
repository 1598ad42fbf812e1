"""What users declare in ``bellwether.toml`` to get features of their own: metrics of their events, and tables."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from features.definitions.feature import Risk
from features.exceptions import listed

__all__ = ["EVENT_COLUMNS", "ExternalTable", "Metric", "MetricKind", "Name", "TableColumn", "days_of"]


EVENT_COLUMNS = ("event_time", "endpoint", "method", "status", "latency_ms", "token", "user_id", "sdk", "sdk_version")
"""Columns of an event a metric may look at: all but who called, and what we did with the event."""

_NUMBERS = ("status", "latency_ms")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_DAYS = re.compile(r"([1-9]\d{0,2})d")
_TITLE = re.compile(r"[^{}\n]{1,80}")

MetricKind = Literal["count", "sum", "mean", "share", "ratio", "distinct", "percentile"]

_TAKES: Mapping[str, Mapping[str, bool]] = {
    "count": {"where": False},
    "sum": {"where": False, "column": True},
    "mean": {"where": False, "column": True},
    "share": {"where": True, "over": False},
    "ratio": {"where": True, "over": True},
    "distinct": {"where": False, "column": True},
    "percentile": {"where": False, "column": True, "percentile": True},
}
"""Kind of metric to the keys it takes, and whether it needs them."""


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is of a-z, 0-9 and _, begins with a letter and has at most 48 characters")
    if name.endswith(("_x", "_y")):
        raise ValueError("a name does not end in _x or _y: the feature store would mix it up")
    return name


def days_of(length: str) -> int:
    """Days of a length such as ``28d``.

    Raises
    ------
    ValueError
        When it is something else, or longer than 999 days.
    """
    match = _DAYS.fullmatch(length)
    if match is None:
        raise ValueError(f"{length!r} is no length in days: write it as 7d or 28d, at most 999d")
    return int(match[1])


def _length(value: str) -> str:
    days_of(value)
    return value


def _titled(title: str) -> str:
    if not _TITLE.fullmatch(title):
        raise ValueError("a title is one line of at most 80 characters without braces")
    return title


Name = Annotated[str, AfterValidator(_named)]
_Length = Annotated[str, AfterValidator(_length)]
_Title = Annotated[str, AfterValidator(_titled)]


class Metric(BaseModel):
    """One number per account and window, counted from its events.

    A condition is an SQL expression over the columns of one event (:data:`EVENT_COLUMNS`), true or false; an event on
    which it is null or fails does not fulfil it. Probe traffic enters no metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: MetricKind = Field(description="what is made of the events")
    where: str | None = Field(default=None, validate_default=True, description="condition of the events that count")
    over: str | None = Field(
        default=None, validate_default=True, description="condition of the events a share or ratio is taken of"
    )
    column: str | None = Field(default=None, validate_default=True, description="column of the events")
    percentile: int | None = Field(default=None, validate_default=True, ge=1, le=99, description="1 to 99")
    windows: tuple[_Length, ...] = Field(description="lengths such as 7d: one feature each")
    title: _Title | None = Field(default=None, description="plain words for reasons; by default the name")
    risk: Risk = Field(default=Risk.DEPENDS, description="what more of it does to the risk of churn")

    @field_validator("where", "over", "column", "percentile")
    @classmethod
    def _belongs(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:
        kind, key = info.data.get("of"), str(info.field_name)
        if kind is None:
            return value
        takes = _TAKES[kind]
        if value is None and takes.get(key):
            raise ValueError(f"a {kind} needs it; it takes {listed(takes)}")
        if value is not None and key not in takes:
            raise ValueError(f"a {kind} takes no {key}; it takes {listed(takes)}")
        return value

    @field_validator("where", "over")
    @classmethod
    def _condition(cls, value: str | None) -> str | None:
        refusal = None if value is None else _refusal(value)
        if refusal:
            raise ValueError(refusal)
        return value

    @field_validator("column")
    @classmethod
    def _column(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        kind = info.data.get("of")
        if value not in EVENT_COLUMNS:
            raise ValueError(f"an event has no column {value!r}; it has {listed(EVENT_COLUMNS, limit=20)}")
        if kind in ("sum", "mean") and value not in _NUMBERS:
            raise ValueError(f"a {kind} is of numbers, and {value} holds none; {listed(_NUMBERS)} do")
        if kind == "percentile" and value != "latency_ms":
            raise ValueError("a percentile is read from a histogram of latencies: give latency_ms")
        return value

    @field_validator("windows")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError('give each window once, and at least one, as in ["28d"]')
        return value

    @property
    def window_days(self) -> tuple[int, ...]:
        """The windows in days, in the order given."""
        return tuple(map(days_of, self.windows))


class TableColumn(BaseModel):
    """One number of an external table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: _Title | None = Field(default=None, description="plain words for reasons; by default the name")
    unit: str = Field(default="number", description="unit in the catalogue", max_length=40)
    risk: Risk = Field(default=Risk.DEPENDS, description="what more of it does to the risk of churn")


class ExternalTable(BaseModel):
    """Numbers per account that somebody else makes: Parquet with ``account_id``, ``event_timestamp``, ``known_at``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="file, folder or glob of Parquet; under the home unless absolute")
    max_age: _Length | None = Field(default=None, description="older rows say nothing any more; by default none is")
    columns: dict[Name, TableColumn] = Field(min_length=1, description="the columns that become features")

    @field_validator("columns")
    @classmethod
    def _no_keys(cls, value: dict[str, TableColumn]) -> dict[str, TableColumn]:
        keys = [name for name in ("account_id", "event_timestamp", "known_at", "cutoff") if name in value]
        if keys:
            raise ValueError(f"{listed(keys)} is a name of ours and no feature")
        return value

    @property
    def max_age_days(self) -> int | None:
        """Days after which a row says nothing any more."""
        return None if self.max_age is None else days_of(self.max_age)


@lru_cache(maxsize=256)
def _refusal(condition: str) -> str | None:
    """Why something is no condition over one event; None where it is one."""
    import pyarrow as pa

    from features.engine.errors import EngineError
    from features.engine.sql import columns_in, sql_type
    from features.schema import EVENTS

    try:
        strange = [name for name in columns_in(condition) if name.lower() not in EVENT_COLUMNS]
        if strange:
            return f"an event has no column {listed(strange)}; it has {listed(EVENT_COLUMNS, limit=20)}"
        kind = sql_type(condition, pa.schema([EVENTS.schema.field(name) for name in EVENT_COLUMNS]))
    except EngineError as error:
        return f"{condition!r} is no condition over one event: {str(error).partition(' LINE ')[0]}"
    return None if kind == "BOOLEAN" else f"{condition!r} is {kind}, no condition: compare it, as in status >= 500"
