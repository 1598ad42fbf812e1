"""The four raw tables: canonical columns, types and rules, as they lie in the store."""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

__all__ = [
    "ACCOUNTS",
    "ACCOUNT_ID_PATTERN",
    "EVENTS",
    "RAW_TABLES",
    "SUBSCRIPTIONS",
    "TOUCHPOINTS",
    "RawTable",
    "SubscriptionKind",
]

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")  # nanoseconds break Feast's materialize on DuckDB
ACCOUNT_ID_PATTERN = r"[A-Za-z0-9._:@-]{1,128}"


class SubscriptionKind(StrEnum):
    """What can happen to a subscription."""

    START = "start"
    RENEW = "renew"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    CANCEL_NOTICE = "cancel_notice"
    CANCEL = "cancel"
    REACTIVATE = "reactivate"


@dataclass(frozen=True)
class RawTable:
    """One raw table: its canonical schema, and which columns a file must bring."""

    name: str
    schema: pa.Schema
    required: tuple[str, ...]
    secret: tuple[str, ...] = ()  # stored only as keyed hashes
    null_says: tuple[str, ...] = ()  # null is an answer, as no limit: what cannot be read must not become one
    added: tuple[str, ...] = ()  # columns that homes of earlier versions do not hold: null there


EVENTS = RawTable(
    "events",
    pa.schema(
        [
            ("event_id", pa.string()),
            ("account_id", pa.string()),
            ("event_time", UTC_MICROSECONDS),
            ("ingested_at", UTC_MICROSECONDS),
            ("endpoint", pa.string()),
            ("method", pa.string()),
            ("status", pa.int16()),
            ("latency_ms", pa.float64()),
            ("token", pa.string()),
            ("user_id", pa.string()),
            ("sdk", pa.string()),
            ("sdk_version", pa.string()),
            ("synthetic", pa.bool_()),
        ]
    ),
    required=("account_id", "event_time"),
    secret=("token", "user_id"),
)

ACCOUNTS = RawTable(
    "accounts",
    pa.schema(
        [
            ("account_id", pa.string()),
            ("name", pa.string()),
            ("created_at", UTC_MICROSECONDS),
            ("segment", pa.string()),
            ("region", pa.string()),
            ("owner", pa.string()),
            ("known_at", UTC_MICROSECONDS),
        ]
    ),
    required=("account_id",),
)

SUBSCRIPTIONS = RawTable(
    "subscriptions",
    pa.schema(
        [
            ("account_id", pa.string()),
            ("subscription_id", pa.string()),
            ("occurred_at", UTC_MICROSECONDS),
            ("known_at", UTC_MICROSECONDS),
            ("kind", pa.string()),
            ("plan", pa.string()),
            ("mrr", pa.float64()),
            ("quota_calls_per_month", pa.int64()),
            ("term_end", UTC_MICROSECONDS),
            ("source_order", pa.int64()),  # position in the file: the last word between ties
        ]
    ),
    required=("account_id", "occurred_at", "kind"),
    null_says=("quota_calls_per_month", "term_end"),
    added=("subscription_id",),
)

TOUCHPOINTS = RawTable(
    "touchpoints",
    pa.schema(
        [
            ("account_id", pa.string()),
            ("occurred_at", UTC_MICROSECONDS),
            ("known_at", UTC_MICROSECONDS),
            ("kind", pa.string()),
            ("value", pa.float64()),
        ]
    ),
    required=("account_id", "occurred_at", "kind"),
)

RAW_TABLES = {table.name: table for table in (EVENTS, ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS)}
