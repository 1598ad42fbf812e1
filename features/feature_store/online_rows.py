"""The answer of an online read: values by column, and which cutoff and build each account's views belong to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definitions.catalog import build_field, cutoff_day_field
from features.definitions.feature import FeatureSpec

__all__ = ["OnlineRows", "decode", "together"]


NAN = float("nan")


@dataclass(frozen=True)
class OnlineRows:
    """One row per account asked for, in the order asked, by column.

    Attributes
    ----------
    account_ids
        As asked, duplicates included.
    values
        Feature to its values, in service order: numbers as float64 with NaN for null, categories as objects with
        None for null.
    cutoff_days
        View to the cutoff day (``windows.cutoff_day``) of each account's row; NaN where the view has none.
    builds
        View to the build of that cutoff that each account's row was copied from; NaN where the row does not say.
    """

    account_ids: tuple[str, ...]
    values: Mapping[str, NDArray[Any]]
    cutoff_days: Mapping[str, NDArray[np.float64]]
    builds: Mapping[str, NDArray[np.float64]]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether any view has a row of the account; the never-null field decides, on every store."""
        return np.asarray(~np.isnan(self._days).all(axis=0))

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Whether a known account's views belong to different cutoffs, or one has no row."""
        days = self._days
        return np.asarray(self.known & ~(days == days[0]).all(axis=0))

    @property
    def mixed_builds(self) -> NDArray[np.bool_]:
        """Whether an account's views were copied from different builds; rows that name none are of one build."""
        builds = np.nan_to_num(np.stack(list(self.builds.values())), nan=-1.0)
        return np.asarray(self.known & ~(builds == builds[0]).all(axis=0))

    @property
    def oldest_days(self) -> NDArray[np.float64]:
        """The smallest cutoff day of each account's views: its features are as of then; NaN when unknown."""
        return np.asarray(np.fmin.reduce(self._days, axis=0))

    @property
    def _days(self) -> NDArray[np.float64]:
        return np.stack(list(self.cutoff_days.values()))


def together(reads: Sequence[OnlineRows]) -> list[OnlineRows]:
    """Reads of the same accounts, one after another: what differs between two of them is mixed in each."""
    if len(reads) == 1:
        return list(reads)
    days, builds = _numbered(read.cutoff_days for read in reads), _numbered(read.builds for read in reads)
    return [replace(read, cutoff_days=days, builds=builds) for read in reads]


def _numbered(reads: Iterable[Mapping[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {
        f"{view}, read {number}": column for number, by_view in enumerate(reads, 1) for view, column in by_view.items()
    }


def decode(
    features: Sequence[FeatureSpec],
    account_ids: Sequence[str],
    responses: Iterable[tuple[Sequence[str], Sequence[Any]]],
) -> OnlineRows:
    """Turn Feast's answers, one per chunk of accounts, into columns.

    Feast's own ``to_dict`` looks at the type of every value; the catalogue knows it once per column.

    Parameters
    ----------
    features
        Features of the service that was read, in its order.
    account_ids
        Accounts, in the order of the answers.
    responses
        Per chunk: field names, and for each field its protobuf values.
    """
    chunks = [dict(zip(names, columns, strict=True)) for names, columns in responses]
    values = {
        feature.name: _column(_reader(feature), [chunk[feature.name] for chunk in chunks], feature.kind == "category")
        for feature in features
    }
    days = {
        group: _column(_integer, [chunk[cutoff_day_field(group)] for chunk in chunks], is_category=False)
        for group in dict.fromkeys(feature.group for feature in features)
    }
    # A registry of an earlier version, not yet applied again, declares no builds.
    builds = {
        group: _column(_integer, [chunk[build_field(group)] for chunk in chunks], is_category=False)
        if all(build_field(group) in chunk for chunk in chunks)
        else np.full(len(account_ids), NAN)
        for group in days
    }
    return OnlineRows(tuple(account_ids), values, days, builds)


def _column(read: Callable[[Any], Any], chunks: Iterable[Iterable[Any]], is_category: bool) -> NDArray[Any]:  # noqa: FBT001
    return np.array(
        [read(value) for chunk in chunks for value in chunk], dtype=np.dtype(object) if is_category else np.float64
    )


def _reader(feature: FeatureSpec) -> Callable[[Any], Any]:
    return {"float": _number, "int": _integer, "category": _text}[feature.kind]


def _number(value: Any) -> float:
    return value.double_val if value.HasField("double_val") else NAN


def _integer(value: Any) -> float:
    return value.int64_val if value.HasField("int64_val") else NAN


def _text(value: Any) -> str | None:
    return value.string_val if value.HasField("string_val") else None
