"""Nulls and ranges: whether each feature holds what the catalogue says it can, as it did at the cutoffs before."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.build.unknown_accounts import strange_accounts
from features.definitions.catalog import Catalog
from features.definitions.feature import FeatureSpec, Nulls
from features.examination import Finding
from features.exceptions import counted, listed
from features.external.take import tables_said
from features.home.home import Home
from features.offline.files import JOIN_KEY, files_of_group, group_at
from features.quality.section import Inspection, Section
from features.rollup.metrics import empty_metrics
from features.shares import Share, percent
from features.storage.store import ManifestStore

__all__ = ["Looked", "look_at_values", "looked_at"]


_ROSE = 0.1  # of the accounts more are null than ever before
_WERE_THERE = 0.1  # of the accounts at least had a value before
_DEVIATIONS = 3.0  # that the share of nulls moves by chance
_ROUNDING = 1e-9
_FEATURES_ARE = "feature is|features are"


@dataclass(frozen=True)
class Looked:
    """What was found out about one feature at a cutoff.

    Attributes
    ----------
    null_accounts
        Who is null, where the null rule leaves that not to anybody.
    nulls_before
        Share of nulls at each cutoff before; empty where there was none.
    outside
        Accounts whose value lies outside the bounds, is infinite or no number, or is a text without a letter.
    """

    feature: FeatureSpec
    accounts: int
    nulls: int
    null_accounts: tuple[str, ...]
    nulls_before: tuple[float, ...]
    low: float | None
    high: float | None
    outside: tuple[str, ...]

    @property
    def null_share(self) -> float:
        """Share of the accounts that are null."""
        return self.nulls / self.accounts if self.accounts else 0.0

    @property
    def breaks_null_rule(self) -> bool:
        """Whether accounts are null that the null rule does not let be."""
        some = 0 < self.nulls < self.accounts
        return {Nulls.NOBODY: self.nulls > 0, Nulls.ALL_OR_NOBODY: some, Nulls.ANYBODY: False}[self.feature.nulls]

    @property
    def went_null(self) -> bool:
        """Whether nobody has a value any more, where accounts had one at every cutoff before."""
        had = bool(self.nulls_before) and max(self.nulls_before) <= 1.0 - _WERE_THERE
        return had and bool(self.accounts) and self.nulls == self.accounts

    @property
    def nulls_rose(self) -> bool:
        """Whether many more are null than at any cutoff before, and more than chance explains."""
        if not self.nulls_before or not self.accounts:
            return False
        most = max(self.nulls_before)
        chance = _DEVIATIONS * math.sqrt(most * (1.0 - most) / self.accounts)
        return self.null_share - most > max(_ROSE, chance)


def look_at_values(inspection: Inspection) -> Section:
    """One row per feature: nulls now and before, smallest and largest value, and what it may be."""
    store = inspection.home.stores.features
    catalog = inspection.home.catalog
    looked = [column for group in catalog.described_groups for column in _group(store, group, inspection, catalog)]
    day = inspection.cutoff.date()
    again = f"Run `bellwether features build --from {day} --to {day}` again; if it stays so, report it."
    rows = {column.feature.name: _row(column) for column in looked}
    return Section(
        tuple(rows.values()),
        (*_findings(looked, again), *_declared(inspection.home)),
        shown=tuple(row for row in rows.values() if row["problem"]),
        note=_note(looked),
    )


def looked_at(feature: FeatureSpec, rows: pa.Table, nulls_before: Sequence[float] = ()) -> Looked:
    """Look at one feature of a group's rows."""
    values, accounts = rows[feature.name], rows[JOIN_KEY]
    strange = pc.equal(pc.utf8_trim_whitespace(values), "") if feature.kind == "category" else _strange(feature, values)
    missing = pc.is_null(values)
    low = high = None
    if feature.kind != "category":
        finite = values.filter(pc.is_finite(values.cast(pa.float64(), safe=False)))
        least = pc.min_max(finite)
        low, high = least["min"].as_py(), least["max"].as_py()
    return Looked(
        feature,
        len(rows),
        pc.sum(missing).as_py() or 0,
        () if feature.nulls is Nulls.ANYBODY else _where(accounts, missing),
        tuple(nulls_before),
        low,
        high,
        _where(accounts, strange),
    )


def _strange(feature: FeatureSpec, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where a number is outside what it may be; null where it is null."""
    numbers = values.cast(pa.float64(), safe=False)
    low, high = feature.bounds
    strange = pc.invert(pc.is_finite(numbers))
    if low is not None:
        strange = pc.or_(strange, pc.less(numbers, low - _ROUNDING))
    if high is not None:
        strange = pc.or_(strange, pc.greater(numbers, high + _ROUNDING))
    return strange


def _where(accounts: pa.ChunkedArray, where: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(accounts.filter(pc.fill_null(where, False)).to_pylist()))


def _group(store: ManifestStore, group: str, inspection: Inspection, catalog: Catalog) -> Iterator[Looked]:
    rows = group_at(store, group, inspection.cutoff, catalog)
    before = [_null_shares(store, group, cutoff) for cutoff in inspection.before]
    for feature in catalog.features_of_group(group):
        yield looked_at(feature, rows, [shares[feature.name] for shares in before if feature.name in shares])


def _null_shares(store: ManifestStore, group: str, cutoff: datetime) -> dict[str, float]:
    """Share of nulls of each feature, from what the files say of themselves."""
    counts: dict[str, int] = {}
    rows = 0
    for file in files_of_group(store, group, wanted=cutoff.date().__eq__):
        about = pq.read_metadata(file)
        rows += about.num_rows
        for number in range(about.num_row_groups):
            part = about.row_group(number)
            for place in range(part.num_columns):
                column = part.column(place)
                if column.statistics is not None and column.statistics.has_null_count:
                    name = column.path_in_schema
                    counts[name] = counts.get(name, 0) + column.statistics.null_count
    return {name: count / rows for name, count in counts.items()} if rows else {}


def _note(looked: Sequence[Looked]) -> str:
    problems = sum(bool(_problem(column)) for column in looked)
    which = "none with a problem" if not problems else f"the {problems} with a problem are below"
    return f"{len(looked)} features, {which}; `--json FILE` has all."


def _row(column: Looked) -> Mapping[str, object]:
    low, high = column.feature.bounds
    usual = Share(max(column.nulls_before)) if column.nulls_before else None
    return {
        "feature": column.feature.name,
        "group": column.feature.group,
        "nulls": Share(column.null_share),
        "most nulls before": usual,
        "smallest": column.low,
        "largest": column.high,
        "may be": "" if low is None and high is None else f"{_bound(low)} to {_bound(high)}",
        "outside": len(column.outside),
        "problem": _problem(column),
    }


def _bound(value: float | None) -> str:
    return "any number" if value is None else f"{value:g}"


def _problem(column: Looked) -> str:
    problems = {
        "nulls against its rule": column.breaks_null_rule,
        "null everywhere": column.went_null,
        "more nulls": column.nulls_rose and not column.went_null,
        "out of range": bool(column.outside),
    }
    return ", ".join(name for name, holds in problems.items() if holds)


def _findings(looked: Sequence[Looked], again: str) -> Iterator[Finding]:
    for column in looked:
        name, rule = column.feature.name, column.feature.null_rule
        if column.breaks_null_rule:
            yield Finding(
                f"{name} is null for {column.nulls:,} of {column.accounts:,} accounts, against its rule ({rule}): "
                f"{listed(column.null_accounts)}.",
                again,
            )
        if column.outside:
            accounts = counted(len(column.outside), "account|accounts")
            yield Finding(f"{name} is {_outside(column)} for {accounts}: {listed(column.outside)}.", again)
    gone = [column.feature.name for column in looked if column.went_null]
    if gone:
        yield Finding(
            f"{counted(len(gone), _FEATURES_ARE)} null for every account, and had values at the cutoffs before: "
            f"{listed(gone)}.",
            "A source has lost a column, or a setting changed: look at what the last `bellwether ingest` said of "
            "missing columns, mend the mapping, load the days again and build again.",
        )
    rose = [column for column in looked if column.nulls_rose and not column.went_null]
    if rose:
        worst = sorted(rose, key=lambda column: max(column.nulls_before) - column.null_share)
        shown = listed(
            f"{column.feature.name} ({percent(max(column.nulls_before))} to {percent(column.null_share)})"
            for column in worst
        )
        yield Finding(
            f"{counted(len(rose), _FEATURES_ARE)} null for many more accounts than at any of the cutoffs before: "
            f"{shown}.",
            "`bellwether features describe --format json` says when each is null. Many accounts fell silent, or a "
            "source lost a column for some of its rows.",
            is_remark=True,
        )


def _declared(home: Home) -> Iterator[Finding]:
    """What the declared features say of themselves: metrics that count nothing, rows of tables that are not used."""
    for sentence in (*empty_metrics(home), *tables_said(home), *strange_accounts(home)):
        yield Finding(
            sentence, "Mend the declaration or the table, then run `bellwether features build`.", is_remark=True
        )


def _outside(column: Looked) -> str:
    if column.feature.kind == "category":
        return "a text without a letter"
    low, high = column.feature.bounds
    if low is None and high is None:
        return "infinite or no number"
    return f"not within {_bound(low)} to {_bound(high)}"
