"""Write a simulated company to a folder: the four raw tables, and the truth behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.exceptions import InputError
from features.schema import EVENTS, SubscriptionKind
from features.simulator.calls import draw_calls
from features.simulator.company import Company, found_company
from features.simulator.lives import Lives, live
from features.simulator.tables import account_table, microseconds, subscription_table, touchpoint_table
from features.simulator.traces import relative_volume, traces
from features.simulator.truth import TRUTH_SCHEMA, truth_batches
from features.windows import DAY, as_cutoff

__all__ = ["SimulationReport", "simulate"]

_DICTIONARIES = ["account_id", "endpoint", "method", "status", "token", "user_id", "sdk", "sdk_version"]


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation wrote.

    ``events`` counts all rows, the late, repeated (``duplicates``), contradicting (``conflicts``) and ``synthetic``
    ones among them. ``churned`` counts accounts' departures by cancellation or expiry that were not taken back
    within two weeks; ``returned`` those that came back later.
    """

    folder: Path
    begin: datetime
    end: datetime
    accounts: int
    events: int
    late: int
    duplicates: int
    conflicts: int
    synthetic: int
    silent_accounts: int
    churned: int
    returned: int
    upgrades: int

    @property
    def events_path(self) -> Path:
        """Folder of the events, one file per day."""
        return self.folder / "events"

    @property
    def accounts_path(self) -> Path:
        """File of the accounts."""
        return self.folder / "accounts.parquet"

    @property
    def subscriptions_path(self) -> Path:
        """File of the subscription events."""
        return self.folder / "subscriptions.parquet"

    @property
    def touchpoints_path(self) -> Path:
        """File of the touchpoints."""
        return self.folder / "touchpoints.parquet"

    @property
    def truth_path(self) -> Path:
        """File of the true risks: one row per account and cutoff at which it lives."""
        return self.folder / "truth.parquet"


def simulate(
    out: Path,
    *,
    accounts: int = 1000,
    days: int = 300,
    calls_per_day: float = 10.0,
    seed: int = 7,
    end: datetime,
    progress: Callable[[str, int, int], None] | None = None,
) -> SimulationReport:
    """Simulate ``days`` days up to ``end``, a UTC midnight, and write them under ``out``.

    The same arguments give the same bytes. ``calls_per_day`` is the mean over all accounts and days of the log.

    Raises
    ------
    InputError
        When a number is out of range, ``end`` is no UTC midnight, or the folder cannot be written.
    """
    end = as_cutoff(end)
    _check(accounts=accounts, days=days, calls_per_day=calls_per_day, seed=seed)
    begin = end - days * DAY
    start, stop = microseconds(begin), microseconds(end)
    seeds = np.random.SeedSequence(seed).spawn(4 + days)
    company = found_company(accounts, days, np.random.default_rng(seeds[0]))
    lives = live(company, days, np.random.default_rng(seeds[1]))
    calls_per_unit = _calls_per_unit(company, lives, begin, calls_per_day)
    try:
        (out / "events").mkdir(parents=True, exist_ok=True)
        for stale in (out / "events").glob("day=*.parquet"):
            stale.unlink()
        pq.write_table(account_table(company, start), out / "accounts.parquet")
        rng = np.random.default_rng(seeds[2])
        subscriptions = subscription_table(company, lives, start, stop, calls_per_unit=calls_per_unit, rng=rng)
        pq.write_table(subscriptions, out / "subscriptions.parquet")
        touchpoints = touchpoint_table(company, lives, start, stop, np.random.default_rng(seeds[3]))
        pq.write_table(touchpoints, out / "touchpoints.parquet")
        with pq.ParquetWriter(out / "truth.parquet", TRUTH_SCHEMA) as writer:
            for batch in truth_batches(company, lives, start):
                writer.write_batch(batch)
        totals = np.zeros(5, np.int64)
        for day in range(days):
            moment = begin + day * DAY
            volume = calls_per_unit * relative_volume(company, lives, day, moment.weekday())
            drawn = draw_calls(
                company,
                traces(company, lives, day, volume=volume),
                lives.failing[day],
                day=day,
                days=days,
                midnight=start + day * 86_400_000_000,
                rng=np.random.default_rng(seeds[4 + day]),
            )
            _write_events(drawn.table, out / "events" / f"day={moment.date().isoformat()}.parquet")
            totals += (drawn.table.num_rows, drawn.late, drawn.duplicates, drawn.conflicts, drawn.synthetic)
            if progress is not None:
                progress("simulate", day + 1, days)
    except OSError as error:
        raise InputError(
            f"The simulation cannot be written to {out}: {error.strerror or error}. Choose a folder you may write to."
        ) from error
    events, late, duplicates, conflicts, synthetic = (int(total) for total in totals)
    happened = lives.subscriptions
    return SimulationReport(
        folder=out,
        begin=begin,
        end=end,
        accounts=accounts,
        events=events,
        late=late,
        duplicates=duplicates,
        conflicts=conflicts,
        synthetic=synthetic,
        silent_accounts=int(company.is_silent.sum()),
        churned=lives.departures,
        returned=lives.returns,
        upgrades=happened.of(SubscriptionKind.UPGRADE),
    )


def _check(*, accounts: int, days: int, calls_per_day: float, seed: int) -> None:
    if accounts < 1:
        raise InputError(f"A company needs at least one account, not {accounts}. Give --accounts 1 or more.")
    if days < 1:
        raise InputError(f"A log needs at least one day, not {days}. Give --days 1 or more.")
    if not 0 < calls_per_day <= 100_000:
        raise InputError(
            f"The mean calls per account and day must lie above 0 and at most 100000, not {calls_per_day}. "
            "Give --calls-per-day 10, for example."
        )
    if seed < 0:
        raise InputError(f"A seed is a whole number from 0 on, not {seed}. Give --seed 7, for example.")


def _calls_per_unit(company: Company, lives: Lives, begin: datetime, calls_per_day: float) -> float:
    """Calls a day of one unit of relative volume, so that the whole log has the mean that was asked for."""
    days = len(lives.failing)
    weekday = begin.weekday()
    total = sum(float(relative_volume(company, lives, day, (weekday + day) % 7).sum()) for day in range(days))
    return calls_per_day * company.accounts * days / total if total > 0 else 0.0


def _write_events(table: pa.Table, path: Path) -> None:
    # Without the Arrow schema the dictionaries read back as the plain strings of the event schema.
    pq.write_table(
        table.select(EVENTS.schema.names), path, use_dictionary=_DICTIONARIES, store_schema=False, compression="snappy"
    )
