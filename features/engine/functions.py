"""SQL functions of the engine that Ibis does not know."""

import ibis
import ibis.expr.datatypes as dt

__all__ = ["at_zone", "bit_count", "clock_at", "epoch_microseconds", "microseconds_since_epoch"]


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def at_zone(zone: str, moment: dt.Timestamp(scale=6)) -> dt.Timestamp(timezone="UTC", scale=6):  # type: ignore[valid-type]
    """The moment at which clocks of ``zone`` showed the naive time ``moment``."""


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def clock_at(zone: str, moment: dt.Timestamp(timezone="UTC", scale=6)) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """The naive time that clocks of ``zone`` show at a moment."""


@ibis.udf.scalar.builtin(name="make_timestamp")  # type: ignore[untyped-decorator]
def epoch_microseconds(microseconds: int) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """The naive UTC time that many microseconds after 1970-01-01."""


@ibis.udf.scalar.builtin(name="epoch_us")  # type: ignore[untyped-decorator]
def microseconds_since_epoch(moment: dt.Timestamp(timezone="UTC", scale=6)) -> int:  # type: ignore[valid-type,empty-body]
    """Microseconds from 1970-01-01 to a moment; fifty times as fast as the engine's calendar."""


@ibis.udf.scalar.builtin(name="bit_count")  # type: ignore[untyped-decorator]
def bit_count(number: int) -> int:  # type: ignore[empty-body]
    """How many bits are set."""
