"""The dataset: labelled rows with the features that were known at their cutoff, from Feast's point-in-time join."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.engine.duckdb_engine import Engine, spill_folder
from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.home.raw_tables import complete_until, read_events, read_raw
from features.offline.files import feature_at
from features.rollup.months import event_days
from features.windows import as_cutoff, days_later, event_day
from training.labels.eligibility import ACTIVITY
from training.labels.excluded import Excluded, excluded_by, nothing_left, spans_met
from training.labels.labels import Labels, is_closed, label, label_silence
from training.labels.targets import Target

if TYPE_CHECKING:
    from features.feature_store.store import Store

__all__ = [
    "Dataset",
    "assemble",
    "call_days_frame",
    "closed_labels",
    "fingerprint",
    "load",
    "subscriptions_frame",
    "with_features_of",
]


_TIMES = ("occurred_at", "known_at", "term_end", "event_day", "last_call")
_SOURCES = {"subscriptions": "subscription events", "events": "calls"}
_KEYS = ("account_id", "cutoff", "label", "event_time", "in_lead")


@dataclass(frozen=True)
class Dataset:
    """One row per account of the population and closed cutoff, ordered by cutoff and account.

    Attributes
    ----------
    frame
        ``account_id``, ``cutoff``, ``label``, ``event_time``, ``in_lead``, then the features in service order.
    left_out
        Reason to the number of (account, cutoff) pairs outside the population.
    fingerprint
        SHA-256 of the frame's content.
    log_start
        The first day of anybody's calls; None where nobody looked.
    excluded
        Abnormal spans, with how many closed cutoffs are left out for each.
    """

    target: Target
    frame: pd.DataFrame
    features: tuple[FeatureSpec, ...]
    open_cutoffs: tuple[datetime, ...]
    left_out: Mapping[str, int]
    fingerprint: str
    log_start: datetime | None = None
    excluded: tuple[Excluded, ...] = ()

    @property
    def cutoffs(self) -> list[datetime]:
        """Closed cutoffs, ascending."""
        return [moment.to_pydatetime() for moment in sorted(self.frame["cutoff"].unique())]

    def rows(self, cutoffs: Sequence[datetime], *, with_lead: bool = False) -> pd.DataFrame:
        """Rows of these cutoffs; those whose event fell in the lead only if asked for."""
        is_wanted = self.frame["cutoff"].isin(list(cutoffs))
        if not with_lead:
            is_wanted &= ~self.frame["in_lead"]
        return self.frame[is_wanted]


def load(home: Home, target: Target) -> Dataset:
    """Label every closed Monday that was built, and join its features as known then.

    Raises
    ------
    WorkFailedError
        When there is nothing to learn from, or the build is incomplete.
    """
    from features.feature_store.store import open_store

    with home.snapshot() as steady:
        return _load(steady, target, open_store(steady))


def _load(home: Home, target: Target, store: "Store") -> Dataset:
    labels = closed_labels(home, target)
    entities = labels.frame.rename(columns={"cutoff": "event_timestamp"})[["account_id", "event_timestamp"]]
    joined = store.historical(entities, service=target.service)
    dataset = assemble(target, labels, joined, home.catalog.features_of_service(target.service))
    days = event_days(home.stores.rollups.manifest())
    return replace(dataset, log_start=as_cutoff(days[0].removeprefix("day=")) if days else None)


def closed_labels(home: Home, target: Target) -> Labels:
    """What became of the population after every closed Monday that was built, but for those near an abnormal span.

    Raises
    ------
    InputError
        When abnormal spans leave no closed Monday.
    WorkFailedError
        When there is no such Monday, or nobody in the population.
    """
    from features.offline.cutoffs import built_cutoffs, left_out
    from features.offline.default_cutoff import silent_cutoffs

    mondays = [cutoff for cutoff in built_cutoffs(home) if cutoff.weekday() == 0]
    silent = set(silent_cutoffs(home, mondays))
    mondays = [monday for monday in mondays if monday not in silent]
    if not mondays:
        raise WorkFailedError(
            " ".join(
                [
                    "No weekly cutoff is built, so there is nothing to train on.",
                    *(left_out(home) or ["Run `bellwether features build` first."]),
                ]
            )
        )
    complete, spans = complete_until(home, target.source), home.settings.exclude
    near = spans_met(target, mondays, spans)
    normal = [monday for monday in mondays if monday not in near]
    closed = {
        cutoff: span
        for cutoff, span in near.items()
        if complete is not None and is_closed(target, cutoff, complete_until=complete)
    }
    excluded = excluded_by(spans, closed)
    labels = _labels(home, target, normal, complete) if normal or not closed else Labels(pd.DataFrame(), (), {})
    if closed and len(labels.open_cutoffs) == len(normal):
        raise InputError(f"Nothing is left to train on: {nothing_left(excluded, target)}")
    still_open = sorted({*labels.open_cutoffs, *near} - closed.keys())
    labels = replace(labels, open_cutoffs=tuple(still_open), excluded=excluded)
    if labels.frame.empty:
        raise WorkFailedError(_nothing_closed(target, [*normal, *(near.keys() - closed.keys())], labels, complete))
    return labels


def assemble(target: Target, labels: Labels, joined: pd.DataFrame, features: Sequence[FeatureSpec]) -> Dataset:
    """Put labels and their features side by side; ``joined`` has the labels' rows in their order."""
    frame = _side_by_side(labels.frame, joined, features)
    frame = frame.sort_values(["cutoff", "account_id"], kind="stable", ignore_index=True)
    return Dataset(
        target,
        frame,
        tuple(features),
        labels.open_cutoffs,
        labels.left_out,
        fingerprint(frame),
        excluded=labels.excluded,
    )


def with_features_of(dataset: Dataset, service: str, home: Home) -> Dataset | None:
    """The same rows with what another feature service reads; None where the dataset has all of that.

    A declared feature that means something else than in the dataset is not in it.

    Raises
    ------
    WorkFailedError
        When the build is incomplete.
    """
    from features.feature_store.store import open_store

    features = home.catalog.features_of_service(service)
    present = {(feature.name, feature.definition) for feature in dataset.features}
    if all((feature.name, feature.definition) in present for feature in features):
        return None
    entities = dataset.frame.rename(columns={"cutoff": "event_timestamp"})[["account_id", "event_timestamp"]]
    frame = _side_by_side(dataset.frame, open_store(home).historical(entities, service=service), features)
    return replace(dataset, frame=frame, features=features, fingerprint=fingerprint(frame))


def _side_by_side(keys: pd.DataFrame, joined: pd.DataFrame, features: Sequence[FeatureSpec]) -> pd.DataFrame:
    """Labels and their features: numbers as doubles and categories as text, whatever the join made of empty columns."""
    values = joined[[feature.name for feature in features]].reset_index(drop=True)
    typed = {
        feature.name: values[feature.name].astype(object).where(values[feature.name].notna(), None)
        if feature.kind == "category"
        else pd.to_numeric(values[feature.name]).astype("float64")
        for feature in features
    }
    return pd.concat([keys[list(_KEYS)].reset_index(drop=True), pd.DataFrame(typed)], axis=1)


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 of a frame's column names and values, row by row in the frame's order."""
    content = hashlib.sha256()
    for name in frame.columns:
        column = frame[name]
        content.update(f"\n{name}\n".encode())
        if column.dtype == object:
            content.update("\n".join("\0" if value is None else str(value) for value in column).encode())
        elif isinstance(column.dtype, pd.DatetimeTZDtype):
            content.update(column.astype("datetime64[us, UTC]").astype("int64").to_numpy().tobytes())
        else:
            content.update(np.ascontiguousarray(column.to_numpy(dtype=np.float64)).tobytes())
    return content.hexdigest()


def subscriptions_frame(home: Home) -> pd.DataFrame:
    """Every subscription event, with times to the microsecond in UTC."""
    return _frame(home, lambda engine: read_raw(engine, home, "subscriptions"))


def call_days_frame(home: Home) -> pd.DataFrame:
    """The days on which each account called, whatever the status: ``account_id``, ``event_day``, ``last_call``.

    One row per account and UTC day; everything stored by now counts, probe traffic does not. Read from the event
    store itself, since rollups may be older than what the store says it is complete until.
    """

    def days(engine: Engine) -> ir.Table:
        events = read_events(engine, home)
        customer = events.filter(~events.synthetic.fill_null(False))
        return customer.group_by("account_id", event_day=event_day(customer.event_time).cast("timestamp")).agg(
            last_call=customer.event_time.max()
        )

    return _frame(home, days)


def _frame(home: Home, table: Callable[[Engine], ir.Table]) -> pd.DataFrame:
    """A table with every time to the microsecond in UTC."""
    spill = spill_folder(home.spill)
    engine = home.engine(spill=spill)
    try:
        frame: pd.DataFrame = engine.to_arrow(table(engine)).to_pandas()
    finally:
        engine.close()
    for name in frame.columns:
        if name in _TIMES:
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame


def _labels(home: Home, target: Target, mondays: Sequence[datetime], complete: datetime | None) -> Labels:
    if target.kind == "inactivity":
        return label_silence(
            target,
            call_days_frame(home),
            lambda cutoff: feature_at(home.stores.features, ACTIVITY, cutoff),
            mondays,
            complete_until=complete,
        )
    return label(target, subscriptions_frame(home), mondays, complete_until=complete, settings=home.settings)


def _nothing_closed(target: Target, mondays: Sequence[datetime], labels: Labels, complete: datetime | None) -> str:
    if len(labels.open_cutoffs) < len(mondays):
        reasons = ", ".join(f"{count} {reason}" for reason, count in labels.left_out.items() if count)
        return (
            f"Nobody is in the population of {target.name} at any of {len(mondays) - len(labels.open_cutoffs)} closed "
            f"cutoffs (left out: {reasons or 'none known'}). Check the {_SOURCES[target.source]}."
        )
    days, oldest = target.closing_days, mondays[0]
    return (
        f"All {len(mondays)} built weekly cutoffs are open: a label is final {days} days after its cutoff, so the "
        f"oldest, {oldest:%Y-%m-%d}, closes on {days_later(oldest, days):%Y-%m-%d}, and the "
        f"{_SOURCES[target.source]} are complete until {complete:%Y-%m-%d}. Load a longer history, or say "
        "`ingest --complete-until D` if they reach further."
    )
