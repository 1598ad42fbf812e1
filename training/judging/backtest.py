"""What out-of-time scores would have done for a team: month by month, by days of warning, and whom they missed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.shares import Share
from training.judging.evaluate import roc_auc
from training.judging.measure import call_chance

__all__ = ["DAYS_OF_WARNING", "MISS_COLUMNS", "Backtest", "look_back"]


DAYS_OF_WARNING = (7, 14, 30, 60, 90)
MISS_COLUMNS = ("account_id", "name", "on", "best_place", "highest_score")

_OLDEST_DAYS = 14  # a score older than that would not have been looked at any more

Row = Mapping[str, object]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Backtest:
    """What became of what was foretold.

    Attributes
    ----------
    months
        A row per month of the cutoffs: what was foretold and what happened, as shares of the rows, without those
        whose event fell in the lead.
    warnings
        A row per number of days: of the events so many days after a judged cutoff, how many accounts were among the
        highest scores of the newest such cutoff.
    misses
        A row per event whose account was never among the highest scores within its label windows, the newest first.
    events
        How many events there were, those in the lead among them.
    """

    months: tuple[Row, ...]
    warnings: tuple[Row, ...]
    misses: tuple[Row, ...]
    events: int


def look_back(
    scores: pd.DataFrame, labels: pd.DataFrame, *, capacity_share: float, names: Mapping[str, str | None]
) -> Backtest:
    """Hold scores against what happened.

    ``scores`` has ``account_id``, ``cutoff`` and ``probability``; ``labels`` has those keys, ``label``, ``event_time``
    and ``in_lead``. Rows without a label any more are left aside. Of each cutoff the ``capacity_share`` highest scores
    are called; rows that tie at the edge with the chance each of them has.
    """
    rows = scores.merge(labels, on=["account_id", "cutoff"], how="inner", validate="1:1")
    rows = rows.sort_values(["cutoff", "account_id"], kind="stable", ignore_index=True)
    probability, called = rows["probability"].to_numpy(), np.zeros(len(rows))
    for places in rows.groupby("cutoff").indices.values():
        called[places] = call_chance(probability[places], capacity_share)
    place = rows.groupby("cutoff")["probability"].rank(method="min", ascending=False)
    rows = rows.assign(called=called, place=place)
    events = rows[rows["event_time"].notna()].groupby(["account_id", "event_time"])[["called"]].max().reset_index()
    return Backtest(
        tuple(_months(rows)), tuple(_warnings(rows, events)), tuple(_misses(rows, events, names)), len(events)
    )


def _months(rows: pd.DataFrame) -> Iterator[Row]:
    judged = rows[~rows["in_lead"]]
    for month, part in judged.groupby(judged["cutoff"].dt.strftime("%Y-%m")):
        positive = part[part["label"] == 1]
        caught = positive.groupby(["account_id", "event_time"])["called"].max()
        label = part["label"].to_numpy(dtype=np.float64)
        area = roc_auc(label, part["probability"].to_numpy())
        yield {
            "month": month,
            "cutoffs": int(part["cutoff"].nunique()),
            "accounts": int(part["account_id"].nunique()),
            "foretold": Share(round(float(part["probability"].mean()), 4)),
            "happened": Share(round(float(label.mean()), 4)),
            "events": len(caught),
            "found": round(float(caught.sum()), 1),
            "roc_auc": round(area, 3) if np.isfinite(area) else None,
        }


def _warnings(rows: pd.DataFrame, events: pd.DataFrame) -> Iterator[Row]:
    known = rows[["account_id", "cutoff", "called"]].sort_values("cutoff", kind="stable")
    for days in DAYS_OF_WARNING:
        until = (events["event_time"] - pd.Timedelta(days=days)).astype(known["cutoff"].dtype)
        asked = events.assign(until=until).sort_values("until", kind="stable")
        seen = pd.merge_asof(
            asked[["account_id", "until"]],
            known,
            left_on="until",
            right_on="cutoff",
            by="account_id",
            tolerance=pd.Timedelta(days=_OLDEST_DAYS),
        ).dropna(subset="called")
        called = float(seen["called"].sum())
        yield {
            "days_of_warning": days,
            "events": len(seen),
            "found": round(called, 1),
            "recall": Share(round(called / len(seen), 4)) if len(seen) else None,
        }


def _misses(rows: pd.DataFrame, events: pd.DataFrame, names: Mapping[str, str | None]) -> Iterator[Row]:
    looked = rows[rows["event_time"].notna()]
    missed = events[events["called"] < 1].sort_values("event_time", ascending=False, kind="stable")
    best = looked.groupby(["account_id", "event_time"]).agg(place=("place", "min"), probability=("probability", "max"))
    for account, moment in missed[["account_id", "event_time"]].itertuples(index=False):
        place, probability = best.loc[(account, moment)]
        score = Share(round(float(probability), 4))
        yield dict(
            zip(MISS_COLUMNS, (account, names.get(account), f"{moment:%Y-%m-%d}", int(place), score), strict=True)
        )
