"""What a data scientist builds in a day: the mean of a quick LightGBM and a logistic regression on plain counts."""

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from training.judging.baselines import logistic_on

__all__ = ["ANCHOR", "COUNTS_WANTED", "anchor", "counts_of"]


ANCHOR = "quick blend on plain counts"

COUNTS_WANTED = (
    *(f"calls_{days}d" for days in (7, 14, 28, 91)),
    *(f"active_days_{days}d" for days in (7, 14, 28, 91)),
    *(f"error_rate_{days}d" for days in (7, 14, 28, 91)),
    *(f"endpoints_used_{days}d" for days in (7, 14, 28, 91)),
    *(f"latency_p95_ms_{days}d" for days in (7, 14, 28, 91)),
    "days_since_last_call",
    "days_since_first_call_91d",
)
"""The counts the blend was measured with on thirteen real logs; of these it reads what the features hold or give."""

_ROUNDS = 200
_REMEMBERED_DAYS = 91.0
_QUICK = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.03,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}

Floats = npt.NDArray[np.float64]


def counts_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The plain counts of each row, as far as its features hold them or give them, and two ratios.

    Calls of 14 days are those of the last 7 and of the 7 before, which the ratio of both gives; days since the first
    call within 91 days, the age of the account up to there.
    """
    counts = {name: frame[name] for name in COUNTS_WANTED if name in frame}
    if {"calls_7d", "calls_7d_vs_prior_7d"} <= set(frame):
        ratio = frame["calls_7d_vs_prior_7d"]
        counts["calls_14d"] = frame["calls_7d"] + (frame["calls_7d"] + 1.0) / ratio.where(ratio > 0) - 1.0
    if "account_age_days" in frame:
        counts["days_since_first_call_91d"] = frame["account_age_days"].clip(upper=_REMEMBERED_DAYS)
    for short, long in (("calls_7d", "calls_28d"), ("calls_28d", "calls_91d")):
        if {short, long} <= set(frame):
            counts[f"{short}_of_{long}"] = frame[short] / frame[long].where(frame[long] > 0)
    return pd.DataFrame(counts, index=frame.index).astype("float64")


def anchor(fitted: pd.DataFrame, rows: pd.DataFrame, *, seed: int) -> Floats | None:
    """Probability of each row by the blend, learnt from the fitted rows; None where these hold no count."""
    known, asked = counts_of(fitted), counts_of(rows)
    used = [name for name in known if known[name].nunique(dropna=False) > 1]
    if not used:
        return None
    label = fitted["label"].to_numpy(dtype=np.float64)
    columns, foretold = known[used].to_numpy(), asked[used].to_numpy()
    data = lgb.Dataset(columns, label=label, params={"verbosity": -1, "num_threads": 1})
    booster = lgb.train({**_QUICK, "seed": seed}, data, num_boost_round=_ROUNDS)
    trees = np.asarray(booster.predict(foretold), dtype=np.float64)
    return (trees + logistic_on(columns, label)(foretold)) / 2.0
