"""The rollup tables: keys, counts and types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from features.schema import UTC_MICROSECONDS

if TYPE_CHECKING:
    pass

__all__ = ["ROLLUPS", "SLOW", "USUAL", "RollupTable"]


@dataclass(frozen=True)
class RollupTable:
    """One rollup: a row per key, sorted by day and key; of each account, or of all customers together."""

    own_keys: Mapping[str, pa.DataType]
    measures: Mapping[str, pa.DataType]
    by_account: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        account = ("account_id",) if self.by_account else ()
        return *account, "event_day", "visible_from", *self.own_keys

    @property
    def order(self) -> tuple[str, ...]:
        """The keys in the order of the rows: by event day first."""
        return "event_day", *(key for key in self.keys if key != "event_day")

    @property
    def schema(self) -> pa.Schema:
        """Keys, then measures."""
        types = {"account_id": pa.string(), "event_day": pa.date32(), "visible_from": pa.date32(), **self.own_keys}
        return pa.schema([*((key, types[key]) for key in self.keys), *self.measures.items()])


def _counts(*names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names, pa.int64())


OUTCOMES = ("ok", "err_auth", "err_throttled", "err_client", "err_server", "no_status")

_ENDPOINT = {"method": pa.string(), "endpoint": pa.string()}
_SDK = {"sdk": pa.string(), "sdk_version": pa.string()}

ROLLUPS: Mapping[str, RollupTable] = {
    "usage": RollupTable(
        {},
        {
            **_counts("calls", *OUTCOMES, "latency_calls", "slow_calls"),
            **_counts("endpoint_calls", "token_calls", "user_calls", "sdk_calls", "value_calls"),
            **dict.fromkeys(("min_event_time", "max_event_time"), UTC_MICROSECONDS),
            **dict.fromkeys(("min_success_time", "max_success_time"), UTC_MICROSECONDS),
            **dict.fromkeys(("min_value_time", "max_value_time"), UTC_MICROSECONDS),
            "max_latency_ms": pa.float64(),
            **_counts("active_days"),
        },
    ),
    "endpoint": RollupTable(_ENDPOINT, _counts("calls", *OUTCOMES, "latency_calls")),
    "latency": RollupTable({"bucket": pa.int32()}, _counts("calls")),
    "token": RollupTable({"token": pa.string()}, _counts("calls")),
    "user": RollupTable({"user_id": pa.string()}, _counts("calls")),
    "service": RollupTable({**_ENDPOINT, "bucket": pa.int32()}, _counts("calls"), by_account=False),
    "sdk": RollupTable(_SDK, _counts("calls", *OUTCOMES, "latency_calls")),
    "release": RollupTable(_SDK, {"min_event_time": UTC_MICROSECONDS}, by_account=False),
}
"""What the logical files of a day hold, by name.

``active_days`` of ``usage`` is a set of days: bit d - 1 stands for day d of the month. Of an account's rows of a day
the one that is seen first has the bit, and those of what came in later do not: a sum over rows is such a set too.
"""

SLOW = RollupTable({**_ENDPOINT, **_SDK}, _counts("slow_calls"))
"""Calls that took longer than is usual for their endpoint; see :mod:`features.rollup.slow_calls`."""

USUAL = pa.schema(
    [("event_day", pa.date32()), *_ENDPOINT.items(), ("bucket", pa.int32()), ("usual_p95_ms", pa.float64())]
)
"""What is usual: by event day and endpoint the latency, as a bucket and in ms, that 95 of 100 calls stay within."""
