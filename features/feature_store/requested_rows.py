"""Checks rows requested of a historical read, refuses answers that lack some, and gives them in the requested order."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.definitions.catalog import cutoff_day_field
from features.definitions.feature import FeatureSpec
from features.exceptions import InputError, WorkFailedError, listed
from features.offline.files import JOIN_KEY, TIMESTAMP

__all__ = ["checked_entities", "feature_frame", "refuse_incomplete"]


def checked_entities(entities: pd.DataFrame) -> pd.DataFrame:
    """The rows asked for: account id as text, cutoff in microseconds UTC, index 0 to n - 1.

    Raises
    ------
    InputError
        When a column is missing, an account id is no text, or a time has no zone or is no UTC midnight.
    """
    missing = [name for name in (JOIN_KEY, TIMESTAMP) if name not in entities.columns]
    if missing:
        raise InputError(f"The rows to read features for have no column {listed(missing)}. Add it.")
    accounts, times = entities[JOIN_KEY], entities[TIMESTAMP]
    if pd.api.types.infer_dtype(accounts, skipna=False) not in ("string", "empty") or (accounts == "").any():
        wrong = [account for account in accounts if not (isinstance(account, str) and account)]
        raise InputError(f"{len(wrong)} account ids are no text: {listed(map(repr, wrong))}. Mend them.")
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        raise InputError(f"The column {TIMESTAMP} holds {times.dtype}, not times with a zone. Make them UTC.")
    times = times.dt.tz_convert("UTC")
    uneven = times[times.isna() | (times != times.dt.floor("D"))]
    if len(uneven):
        raise InputError(f"{len(uneven)} times are no cutoff: {listed(uneven)}. A cutoff is a UTC midnight.")
    microseconds = times.dt.as_unit("us").reset_index(drop=True)
    return pd.DataFrame({JOIN_KEY: accounts.to_numpy(dtype=object), TIMESTAMP: microseconds})


def refuse_incomplete(
    asked: pd.DataFrame, table: pa.Table, groups: Iterable[str], *, places: NDArray[np.int64]
) -> None:
    """Compare each view's cutoff day with the row's: a view without the row gives nulls, without an error.

    ``places`` are the positions of the table's rows among the asked ones.

    Raises
    ------
    WorkFailedError
        Naming the accounts and cutoffs that have no row, and how to build them.
    """
    expected = (asked[TIMESTAMP] - pd.Timestamp(0, tz="UTC")).dt.days.to_numpy(dtype=np.float64)
    wrong = {group: _numbers(table[cutoff_day_field(group)]) != expected[places] for group in groups}
    rows = np.sort(places[np.any(list(wrong.values()), axis=0)])
    if not len(rows):
        return
    bad = asked.iloc[rows]
    names = listed(f"{account} at {time.date()}" for account, time in zip(bad[JOIN_KEY], bad[TIMESTAMP], strict=True))
    views = ", ".join(group for group, at in wrong.items() if at.any())
    first, last = bad[TIMESTAMP].min().date(), bad[TIMESTAMP].max().date()
    raise WorkFailedError(
        f"{len(rows)} of {len(asked)} rows have no features of their cutoff in {views}: {names}. "
        f"Run `bellwether features build --from {first} --to {last}`, then this again."
    )


def feature_frame(
    asked: pd.DataFrame, table: pa.Table, features: Sequence[FeatureSpec], *, places: NDArray[np.int64]
) -> pd.DataFrame:
    """The asked rows with these features: float64 with NaN for null, categories as objects with None.

    ``places`` are the positions of the table's rows among the asked ones. The numbers are one block of memory, filled
    in place: sorting the table first, and joining a hundred columns after, would copy all of it twice.
    """
    numeric = [feature.name for feature in features if feature.kind != "category"]
    block = np.empty((len(numeric), len(asked)))
    for row, name in zip(block, numeric, strict=True):
        row[places] = _numbers(table[name])
    frame = pd.DataFrame(block.T, columns=numeric, copy=False)
    frame.insert(0, JOIN_KEY, asked[JOIN_KEY])
    frame.insert(1, TIMESTAMP, asked[TIMESTAMP])
    for at, feature in enumerate(features, start=2):
        if feature.kind == "category":
            values = np.empty(len(asked), dtype=object)
            values[places] = table[feature.name].to_numpy(zero_copy_only=False)
            frame.insert(at, feature.name, values)
    return frame


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
