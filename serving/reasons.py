"""Turns contributions into reasons: families that speak once, in plain words, largest first."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from features.catalog import FAMILIES, spec
from serving.words import sentences

__all__ = ["MINIMUM_CONTRIBUTION", "FeatureShare", "Reason", "reasons_for"]

MINIMUM_CONTRIBUTION = 0.05
"""A family whose sum is smaller, in log-odds, is not worth a sentence."""

Floats = npt.NDArray[np.float64]


class FeatureShare(NamedTuple):
    """One feature's part of a reason."""

    name: str
    value: float | int | str | None
    contribution: float


class Reason(NamedTuple):
    """Why a score is higher or lower than that of an average account.

    ``contribution`` is in log-odds, and exactly the sum of ``parts``: those of the features ``names``, which have
    these ``values``. A named tuple of plain columns, because a batch makes half a million.
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


def reasons_for(
    features: Sequence[str], columns: Mapping[str, Any], contributions: Floats, *, limit: int
) -> list[tuple[Reason, ...]]:
    """At most ``limit`` reasons for each row, actionable families first, the largest absolute sum first.

    Parameters
    ----------
    features
        Names of the features that ``contributions`` (rows by features, log-odds) belong to.
    columns
        Feature values, column-wise; may hold more features than contribute, for the sentences.
    """
    rows = len(contributions)
    if not rows or limit < 1:
        return [()] * rows
    specs = [spec(name) for name in features]
    families = list(dict.fromkeys(feature.family for feature in specs))
    members = [[i for i, feature in enumerate(specs) if feature.family == family] for family in families]
    sums = np.column_stack([contributions[:, places].sum(axis=1) for places in members])
    order = _order(sums, np.array([FAMILIES[family].actionable for family in families]))[:, :limit]
    speaks = np.abs(np.take_along_axis(sums, order, axis=1)) >= MINIMUM_CONTRIBUTION
    listed_columns = {name: _listed(values) for name, values in columns.items()}
    spoken: list[list[Reason | None]] = [[None] * order.shape[1] for _ in range(rows)]
    for place, (family, member) in enumerate(zip(families, members, strict=True)):
        row_index, rank_index = np.nonzero((order == place) & speaks)
        if not len(row_index):
            continue
        said = _family_reasons(
            family, [features[i] for i in member], listed_columns, contributions[row_index[:, None], member], row_index
        )
        for row, rank, reason in zip(row_index.tolist(), rank_index.tolist(), said, strict=True):
            spoken[row][rank] = reason
    return [tuple(reason for reason in ranked if reason is not None) for ranked in spoken]


def _order(sums: Floats, actionable: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Families of each row in speaking order: those worth a sentence, actionable ones, the largest first."""
    size = np.abs(sums)
    # Any family large enough speaks before one that is not; then actionable before context.
    tier = np.where(size >= MINIMUM_CONTRIBUTION, np.where(actionable, 0, 1), 2)
    return np.lexsort((-size, tier), axis=1)


def _family_reasons(
    family: str, names: Sequence[str], columns: Mapping[str, Sequence[Any]], parts: Floats, rows: npt.NDArray[np.intp]
) -> list[Reason]:
    """The reason of one family for each of ``rows``; ``parts`` are its features' contributions there."""
    sums = parts.sum(axis=1)
    signs = np.where(sums > 0, 1.0, -1.0)
    leading = np.argmax(parts * signs[:, None], axis=1)
    texts = np.empty(len(rows), dtype=object)
    row_list = rows.tolist()
    for index in np.unique(leading).tolist():
        chosen = np.nonzero(leading == index)[0].tolist()
        texts[chosen] = sentences(spec(names[index]), columns, [row_list[i] for i in chosen])
    whole = [spec(name).kind == "int" for name in names]
    values = [_values(columns.get(name), row_list, whole=is_whole) for name, is_whole in zip(names, whole, strict=True)]
    about, own = FAMILIES[family], tuple(names)
    directions: dict[bool, tuple[str, Literal["raises", "lowers"]]] = {
        True: (about.raises, "raises"),
        False: (about.lowers, "lowers"),
    }
    return [
        Reason(
            directions[total > 0][0], family, total, directions[total > 0][1], about.actionable, text, own, value, part
        )
        for total, text, value, part in zip(
            sums.tolist(), texts.tolist(), zip(*values, strict=True), zip(*parts.T.tolist(), strict=True), strict=True
        )
    ]


def _values(column: Sequence[Any] | None, rows: Sequence[int], *, whole: bool) -> list[Any]:
    """Feature values as JSON can carry them: null for what is not there, whole numbers for counts."""
    if column is None:
        return [None] * len(rows)
    chosen = [column[row] for row in rows]
    plain = [None if value is None or value != value else value for value in chosen]  # noqa: PLR0124
    return [int(value) if value is not None else None for value in plain] if whole else plain


def _listed(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
