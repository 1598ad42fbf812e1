"""Turns contributions into reasons: families that speak once, in plain words, largest first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from features.definitions.catalog import BUILT_IN, Catalog
from features.definitions.feature import Family, FeatureSpec
from serving.scoring.phrasing import NUMBERS
from serving.scoring.speakers import Speakers
from serving.scoring.yardsticks import Yardstick

__all__ = ["MINIMUM_CONTRIBUTION", "FeatureShare", "Reason", "Reasons", "RowReasons", "reason_json", "reasons_for"]


MINIMUM_CONTRIBUTION = 0.05
"""A family whose sum is smaller, in log-odds, is not worth a sentence."""

Floats = NDArray[np.float64]

_RAISES: Literal["raises"] = "raises"
_LOWERS: Literal["lowers"] = "lowers"


class FeatureShare(NamedTuple):
    """One feature's part of a reason."""

    name: str
    value: float | int | str | None
    contribution: float


class Reason(NamedTuple):
    """Why a score is higher or lower than that of an average account.

    ``code`` is the name of the family, read with the direction; ``contribution`` is in log-odds, and exactly the sum
    of ``parts``: those of the features ``names``, which have these ``values``.
    """

    code: str
    contribution: float
    direction: Literal["raises", "lowers"]
    actionable: bool
    text: str
    names: tuple[str, ...]
    values: tuple[float | int | str | None, ...]
    parts: tuple[float, ...]

    @property
    def features(self) -> tuple[FeatureShare, ...]:
        """The features that contribute, the largest first."""
        shares = [FeatureShare(*share) for share in zip(self.names, self.values, self.parts, strict=True) if share[2]]
        return tuple(sorted(shares, key=lambda share: -abs(share.contribution)))


def reason_json(reason: Reason) -> dict[str, Any]:
    """A reason as the service answers it."""
    return {
        "code": reason.code,
        "contribution": reason.contribution,
        "direction": reason.direction,
        "actionable": reason.actionable,
        "text": reason.text,
        "features": [share._asdict() for share in reason.features],
    }


@dataclass(frozen=True)
class _Family:
    """One family of a model: its features, and their places among the model's."""

    about: Family
    specs: tuple[FeatureSpec, ...]
    places: NDArray[np.intp]

    @property
    def name(self) -> str:
        """As the catalogue calls it."""
        return self.about.name

    @property
    def names(self) -> tuple[str, ...]:
        """Of its features."""
        return tuple(feature.name for feature in self.specs)


@dataclass(frozen=True)
class Reasons:
    """The reasons of many rows, by column.

    Attributes
    ----------
    first
        Where each row's reasons begin, and behind the last row their number.
    family, total, text
        One entry per reason, by row and rank: which family speaks, its sum in log-odds, its sentence.
    """

    first: NDArray[np.intp]
    family: NDArray[np.intp]
    total: Floats
    text: NDArray[np.object_]
    _families: tuple[_Family, ...]
    _columns: Mapping[str, NDArray[Any]]
    _contributions: Floats

    def __len__(self) -> int:
        return len(self.first) - 1

    def __iter__(self) -> Iterator["RowReasons"]:
        return (RowReasons(self, row) for row in range(len(self)))

    def __getitem__(self, row: int) -> "RowReasons":
        """The reasons of one row, the first to be said first."""
        return RowReasons(self, range(len(self))[row])

    def reason(self, row: int, place: int) -> Reason:
        """One reason; ``place`` is where it stands in the columns."""
        family, total = self._families[self.family[place]], float(self.total[place])
        about = family.about
        direction = _RAISES if total > 0 else _LOWERS
        values = tuple(
            _value(self._columns.get(feature.name), row, whole=feature.kind == "int") for feature in family.specs
        )
        parts = tuple(self._contributions[row, family.places].tolist())
        text = self.text[place]
        is_actionable = about.is_actionable or self._is_soon(about, row)
        return Reason(family.name, total, direction, is_actionable, text, family.names, values, parts)

    def _is_soon(self, about: Family, row: int) -> bool:
        if about.actionable_up_to is None or about.actionable_up_to[0] not in self._columns:
            return False
        name, most = about.actionable_up_to
        return bool(self._columns[name][row] <= most)


@dataclass(frozen=True, eq=False, slots=True)
class RowReasons(Sequence[Reason]):
    """One row's reasons; each is made when it is read, since most of half a million never are."""

    table: Reasons
    row: int

    def __len__(self) -> int:
        return int(self.table.first[self.row + 1] - self.table.first[self.row])

    @overload
    def __getitem__(self, rank: int) -> Reason: ...

    @overload
    def __getitem__(self, rank: slice) -> list[Reason]: ...

    def __getitem__(self, rank: int | slice) -> Reason | list[Reason]:
        """The reason of this rank, 0 the first; of several ranks by a slice."""
        if isinstance(rank, slice):
            return [self[place] for place in range(*rank.indices(len(self)))]
        return self.table.reason(self.row, int(self.table.first[self.row]) + range(len(self))[rank])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # a row is as equal as what it holds


def reasons_for(
    features: Sequence[str],
    columns: Mapping[str, Any],
    contributions: Floats,
    *,
    limit: int,
    target: str = "churn",
    yardsticks: Mapping[str, Yardstick] | None = None,
    catalog: Catalog = BUILT_IN,
) -> Reasons:
    """At most ``limit`` reasons for each row, the largest absolute sum first.

    A family whose values say nothing for the direction of its sum, or only numbers that larger ones have said, is left
    out and the next one speaks. Every sentence is written here; only the objects that carry them wait until a row is
    read.

    Parameters
    ----------
    features
        Names of the features that ``contributions`` (rows by features, log-odds) belong to.
    columns
        Feature values, column-wise; may hold more features than contribute, for the sentences.
    yardsticks
        Feature to how its values lie among the accounts the model learnt from.
    catalog
        What the features mean: that of the model that reads them.
    """
    families = _families(features, catalog)
    values: dict[str, NDArray[Any]] = {
        name: np.asarray(column, dtype=_dtype(catalog.spec(name))) for name, column in columns.items()
    }
    rows = len(contributions)
    if not rows or not families or limit < 1:
        nothing = np.zeros(rows + 1, dtype=np.intp)
        return Reasons(nothing, nothing[:0], np.zeros(0), np.zeros(0, dtype=object), families, values, contributions)
    # Laid out row by row, numpy adds the numbers of a row in one order, however many rows there are.
    parts = [np.ascontiguousarray(contributions[:, family.places]) for family in families]
    sums = np.column_stack([part.sum(axis=1) for part in parts])
    speakers = Speakers(values, target, yardsticks or {}, catalog)
    ranks = min(limit, len(families))
    count, order = np.zeros(rows, dtype=np.intp), np.argsort(-np.abs(sums), axis=1, kind="stable")
    by = np.zeros((rows, ranks), dtype=np.intp)
    text, numbers = np.empty((rows, ranks), dtype=object), np.zeros((rows, ranks * NUMBERS), dtype=np.intp)
    is_large = np.abs(np.take_along_axis(sums, order, axis=1)) >= MINIMUM_CONTRIBUTION
    for rank in range(len(families)):
        turn = order[:, rank]
        asked = np.flatnonzero((count < ranks) & is_large[:, rank])
        if not len(asked):
            break
        for place in np.unique(turn[asked]).tolist():
            family, mine = families[place], asked[turn[asked] == place]
            said = speakers.speak(
                family.specs, parts[place][mine], sums[mine, place], mine, numbers[mine, : rank * NUMBERS]
            )
            speaks = np.flatnonzero(said.is_said)
            row, at = mine[speaks], count[mine[speaks]]
            by[row, at], text[row, at] = place, said.text[speaks]
            numbers[row[:, None], at[:, None] * NUMBERS + np.arange(NUMBERS)] = said.numbers[speaks]
            count[row] += 1
    is_said = np.arange(ranks) < count[:, None]
    first = np.concatenate([[0], np.cumsum(count)])
    total = np.take_along_axis(sums, by, axis=1)
    return Reasons(first, by[is_said], total[is_said], text[is_said], families, values, contributions)


def _families(features: Sequence[str], catalog: Catalog) -> tuple[_Family, ...]:
    specs = [catalog.spec(name) for name in features]
    members: dict[str, list[int]] = {}
    for place, feature in enumerate(specs):
        members.setdefault(feature.family, []).append(place)
    return tuple(
        _Family(
            catalog.families[name],
            tuple(specs[place] for place in places),
            np.array(places),
        )
        for name, places in members.items()
    )


def _value(column: NDArray[Any] | None, row: int, *, whole: bool) -> float | int | str | None:
    """A feature value as JSON can carry it: null for what is not there, whole numbers for counts."""
    if column is None:
        return None
    value = column[row]
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if whole else number


def _dtype(feature: FeatureSpec) -> type:
    return object if feature.kind == "category" else np.float64
