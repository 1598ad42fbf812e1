"""Turns contributions into reasons: families that speak once, in plain words, largest first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from features.definitions.catalog import BUILT_IN, Catalog
from features.definitions.feature import Family, FeatureSpec
from serving.scoring.phrasing import sentences

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

    ``contribution`` is in log-odds, and exactly the sum of ``parts``: those of the features ``names``, which have
    these ``values``.
    """

    code: str
    family: str
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
        code, direction = (about.raises, _RAISES) if total > 0 else (about.lowers, _LOWERS)
        values = tuple(
            _value(self._columns.get(feature.name), row, whole=feature.kind == "int") for feature in family.specs
        )
        parts = tuple(self._contributions[row, family.places].tolist())
        text = self.text[place]
        return Reason(code, family.name, total, direction, about.actionable, text, family.names, values, parts)


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
    catalog: Catalog = BUILT_IN,
) -> Reasons:
    """At most ``limit`` reasons for each row, actionable families first, the largest absolute sum first.

    Every sentence is written here; only the objects that carry them wait until a row is read.

    Parameters
    ----------
    features
        Names of the features that ``contributions`` (rows by features, log-odds) belong to.
    columns
        Feature values, column-wise; may hold more features than contribute, for the sentences.
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
    sums = np.column_stack([np.ascontiguousarray(contributions[:, family.places]).sum(axis=1) for family in families])
    order = _order(sums, np.array([family.about.actionable for family in families]))[:, :limit]
    ranked = np.take_along_axis(sums, order, axis=1)
    speaks = np.abs(ranked) >= MINIMUM_CONTRIBUTION
    row_of, said_by = np.nonzero(speaks)[0], order[speaks]
    text = np.empty(len(row_of), dtype=object)
    for place, family in enumerate(families):
        at = np.flatnonzero(said_by == place)
        if len(at):
            text[at] = _family_texts(family, values, contributions, row_of[at], sums[row_of[at], place])
    first = np.concatenate([[0], np.cumsum(speaks.sum(axis=1))])
    return Reasons(first, said_by, ranked[speaks], text, families, values, contributions)


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


def _order(sums: Floats, actionable: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Families of each row in speaking order: those worth a sentence, actionable ones, the largest first."""
    size = np.abs(sums)
    # Any family large enough speaks before one that is not; then actionable before context.
    tier = np.where(size >= MINIMUM_CONTRIBUTION, np.where(actionable, 0, 1), 2)
    return np.lexsort((-size, tier), axis=1)


def _family_texts(
    family: _Family,
    columns: Mapping[str, NDArray[Any]],
    contributions: Floats,
    rows: NDArray[np.intp],
    totals: Floats,
) -> NDArray[np.object_]:
    """The family's sentence for each of ``rows``: of the feature that contributes most in the direction of the sum."""
    parts = contributions[rows[:, None], family.places]
    signs = np.where(totals > 0, 1.0, -1.0)
    leading = np.argmax(parts * signs[:, None], axis=1)
    texts = np.empty(len(rows), dtype=object)
    for place in np.unique(leading):
        led = np.flatnonzero(leading == place)
        texts[led] = sentences(family.specs[place], columns, rows[led])
    return texts


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
