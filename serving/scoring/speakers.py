"""Chooses which feature of a family speaks for it: the largest whose value supports what the family does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definitions.catalog import Catalog
from features.definitions.feature import FeatureSpec
from serving.scoring.phrasing import NUMBERS, Numerals, Sentences, sentences
from serving.scoring.yardsticks import Yardstick, stand

__all__ = ["Speakers"]


Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class Speakers:
    """Writes the sentence of a family for many rows, of one target and one table of feature values."""

    def __init__(
        self,
        columns: Mapping[str, NDArray[Any]],
        target: str,
        yardsticks: Mapping[str, Yardstick],
        catalog: Catalog,
    ) -> None:
        self._columns = columns
        self._target = target
        self._yardsticks = yardsticks
        self._catalog = catalog
        self._numerals = Numerals()

    def speak(
        self, family: Sequence[FeatureSpec], parts: Floats, totals: Floats, rows: Places, said: Places
    ) -> Sentences:
        """One sentence for each row, None where no feature can support the family's sum.

        The features that push as the family does are asked in turn, the largest part first: the first whose value
        lies on the side that does so, and whose sentence repeats no number, speaks.

        Parameters
        ----------
        parts, totals
            Contributions of the family's features to each row, rows by features, and their sum.
        said
            Numbers that were said before, rows by numbers; 0 for none.
        """
        signs = np.where(totals > 0, 1, -1)
        weights = np.maximum(parts * signs[:, None], 0.0)
        texts, numbers = np.full(len(rows), None, dtype=object), np.zeros((len(rows), NUMBERS), dtype=np.intp)
        left = np.arange(len(rows))
        while len(left):
            leading = np.argmax(weights if len(left) == len(rows) else weights[left], axis=1)
            is_left = weights[left, leading] > 0
            left, leading = left[is_left], leading[is_left]
            done = np.zeros(len(left), dtype=bool)
            for place in np.unique(leading).tolist():
                led = np.flatnonzero(leading == place)
                at = left[led]
                own = self._of_feature(family[place], rows[at], signs[at])
                speaks = own.is_said & ~_repeats(own.numbers, said[at])
                texts[at[speaks]], numbers[at[speaks]] = own.text[speaks], own.numbers[speaks]
                weights[at[~speaks], place] = 0.0
                done[led[speaks]] = True
            left = left[~done]
        return Sentences(texts, numbers)

    def _of_feature(self, feature: FeatureSpec, rows: Places, signs: Places) -> Sentences:
        spoken = feature if feature.spoken_as is None else self._catalog.spec(feature.spoken_as)
        wanted = (signs * spoken.sounds(self._target)).astype(np.int8)
        stands = stand(
            spoken,
            self._columns,
            rows,
            wanted,
            yardstick=self._yardsticks.get(spoken.name),
            catalog=self._catalog,
        )
        return sentences(
            spoken,
            self._columns,
            rows,
            stands,
            is_upsell=self._target == "upsell",
            numerals=self._numerals,
        )


def _repeats(named: Places, said: Places) -> NDArray[np.bool_]:
    """Whether a sentence names a number that was said before, or one twice itself."""
    repeats = np.zeros(len(named), dtype=bool)
    for place in np.flatnonzero(named.any(axis=0)).tolist():
        mine = named[:, place]
        again = (said == mine[:, None]).any(axis=1) | (named[:, :place] == mine[:, None]).any(axis=1)
        repeats |= again & (mine > 0)
    return repeats
