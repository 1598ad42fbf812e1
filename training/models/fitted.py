"""A model as training has it: the booster, how far to trust its margins, and the scorecard that may count beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from training.models.bundle import Calibration, Column
from training.models.history import dated
from training.models.model import Encoding
from training.models.scorecard import Scorecard
from training.models.stack import BOOSTER_ALONE, Stack

__all__ = ["Fitted"]


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A booster with its encoding and calibration, and the scorecard that counts beside it, if one does.

    Attributes
    ----------
    features
        All it reads, in service order.
    has_random_splits
        Whether its trees split at drawn values, which was tried beside the best ones.
    """

    booster: lgb.Booster
    encoding: Encoding
    calibration: Calibration
    rounds: int
    features: tuple[FeatureSpec, ...]
    stack: Stack = BOOSTER_ALONE
    scorecard: Scorecard | None = None
    has_random_splits: bool = False

    @property
    def halves(self) -> str:
        """Which trees were taken, and which halves count and why, in words."""
        if not self.has_random_splits:
            return self.stack.in_words
        return (
            f"{self.stack.in_words} Its trees split at drawn values: on accounts they did not know these foretold with "
            "less loss."
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The booster's."""
        return self.encoding.columns

    @property
    def left_out(self) -> Mapping[str, str]:
        """Features that neither half reads, and why."""
        read = {feature.name for feature in self.features}
        return {name: reason for name, reason in self.encoding.left_out.items() if name not in read}

    def margin(self, frame: pd.DataFrame) -> Floats:
        """Log-odds of each row, before calibration."""
        own = np.asarray(self.booster.predict(self.encoding.matrix(frame), raw_score=True), dtype=np.float64)
        return self.stack.margin(own, None if self.scorecard is None else self.scorecard.margin(frame))

    def probability(self, frame: pd.DataFrame) -> Floats:
        """Calibrated probability of each row."""
        return self.calibration.probability(self.margin(frame))

    def telling(self, entries: Mapping[str, date]) -> "Fitted":
        """The same model, which says of a feature the log is too young for from when on it will be read."""
        return replace(self, encoding=replace(self.encoding, left_out=dated(self.encoding.left_out, entries)))
