"""Whether a diagnosis names what the simulator planted, and nobody else for it; and what it costs."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.home.home import Home
from tests.benchmarks.row import Row

SEEDS = (1, 2, 3)
"""The thresholds were chosen on seed 101, which is not judged."""

COMPANY = {"accounts": 2_000, "days": 300, "calls_per_day": 10.0}
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "slow_endpoints": ("latency",),
    "narrowing_use": ("breadth",),
    "integration_trouble": ("auth_errors", "errors"),
    "champion_left": ("people",),
}
"""Planted cause to the families that name it."""

MOST_OTHERS = {"slow_endpoints": 0.12, "narrowing_use": 0.05, "integration_trouble": 0.05, "champion_left": 0.05}
LEAST_NAMED, LEAST_ENDPOINTS, LEAST_STARTS = 0.75, 0.8, 0.6
FIRST_FINDINGS, HIGHEST_SHARE = 3, 0.2
START_WITHIN_DAYS, LOOKED_BACK_DAYS = 7, 56
CUTOFFS = 3
_FAILING = 0.2


def rows(seeds: Sequence[int] = SEEDS) -> Iterator[Row]:
    """A row for each planted cause over all seeds, for endpoints, starts and CPU seconds."""
    accounts, seconds = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="bench-diagnosis-") as folder:
            for judged, spent in _judged(Path(folder), seed):
                accounts.append(judged)
                seconds.append(spent)
    table = pd.concat(accounts, ignore_index=True)
    for cause, most in MOST_OTHERS.items():
        planted, others = table[table.cause == cause], table[table.cause != cause]
        named, wrongly = planted[f"named_{cause}"].mean(), others[f"named_{cause}"].mean()
        yield Row(
            f"diagnosis: {cause}",
            f"named for {named:.2f} of {len(planted)}, for {wrongly:.3f} of {len(others)} others",
            f"at least {LEAST_NAMED}, at most {most}",
            bool(named >= LEAST_NAMED and wrongly <= most),
            {"named": named, "others": wrongly},
        )
    endpoints = table[(table.cause == "slow_endpoints") & table.named_slow_endpoints].names_failing_endpoint
    yield Row(
        "diagnosis: planted endpoint in the evidence",
        f"{endpoints.mean():.2f} of {len(endpoints)}",
        f"at least {LEAST_ENDPOINTS}",
        bool(endpoints.mean() >= LEAST_ENDPOINTS),
    )
    starts = table.days_off.dropna().abs() <= START_WITHIN_DAYS
    yield Row(
        f"diagnosis: start within {START_WITHIN_DAYS} days",
        f"{starts.mean():.2f} of {len(starts)}",
        f"at least {LEAST_STARTS}",
        bool(starts.mean() >= LEAST_STARTS),
    )
    yield Row("diagnosis: CPU seconds a cutoff, 2,000 accounts", f"{np.median(seconds):.1f}", "-", None)


def _judged(root: Path, seed: int) -> Iterator[tuple[pd.DataFrame, float]]:
    """The highest scores of some judged cutoffs, an account a row, and the CPU seconds of the diagnosis."""
    from features.build.build import build
    from features.definitions.catalog import NEWEST_SERVICE
    from features.feature_store.store import open_store
    from features.ingest.ingest import ingest
    from features.rollup.count import roll_up
    from features.settings.load import load_settings
    from features.simulator import simulate
    from features.windows import DAY, cutoffs_between, utc
    from serving.routine.batch import feature_columns
    from serving.routine.diagnosed import diagnosed
    from serving.scoring.accounts import built_accounts
    from training.judging.judge import fit_and_judge
    from training.labels.dataset import load
    from training.labels.targets import target

    end = utc(2026, 6, 29)
    simulate(root / "files", seed=seed, end=end, **COMPANY)  # type: ignore[arg-type]
    home = Home(load_settings(home=root / "home"))
    now = end + timedelta(hours=12)
    tables = {name: [root / "files" / f"{name}.parquet"] for name in ("accounts", "subscriptions", "touchpoints")}
    ingest(home, now=now, events=[root / "files" / "events"], **tables, complete_until=end)
    roll_up(home)
    build(home, list(cutoffs_between(end - (int(COMPANY["days"]) - 28) * DAY, end)), now=now)
    open_store(home).apply()
    judgement = fit_and_judge(load(home, target("churn", home)), home)
    scored = judgement.rows[["account_id", "cutoff"]].assign(score=judgement.scores["model"])
    truth = pd.read_parquet(root / "files" / "truth.parquet")
    cutoffs = sorted(scored.cutoff.unique())
    for cutoff in cutoffs[-1 :: -max(len(cutoffs) // CUTOFFS, 1)][:CUTOFFS]:
        moment = pd.Timestamp(cutoff).to_pydatetime()
        at = scored[scored.cutoff == cutoff]
        highest = at[at.score.rank(pct=True) > 1 - HIGHEST_SHARE].account_id.tolist()
        began = time.process_time()
        everybody = built_accounts(home, moment)
        columns = feature_columns(home, open_store(home), NEWEST_SERVICE, everybody, moment)
        findings = diagnosed(home, moment, everybody, columns, highest)
        spent = time.process_time() - began
        failing = _failing_endpoints(seed, days_before_end=(end - moment) // DAY)
        starts = _starts(truth, moment, highest)
        yield pd.DataFrame([_row(account, findings[account], starts, failing) for account in highest]), spent


def _row(
    account: str, findings: Sequence[Any], starts: Mapping[str, tuple[str, date | None]], failing: set[str]
) -> dict[str, Any]:
    cause, start = starts[account]
    first = findings[:FIRST_FINDINGS]
    row: dict[str, Any] = {"account_id": account, "cause": cause, "days_off": np.nan, "names_failing_endpoint": False}
    for planted, families in FAMILIES.items():
        naming = [finding for finding in first if finding.family in families]
        row[f"named_{planted}"] = bool(naming)
        if planted == cause and naming:
            evidence = {entry.value for finding in naming for entry in finding.evidence}
            row["names_failing_endpoint"] = bool(evidence & failing)
            if start is not None and naming[0].since is not None:
                row["days_off"] = (naming[0].since - start).days
    return row


def _starts(truth: pd.DataFrame, cutoff: datetime, accounts: Sequence[str]) -> dict[str, tuple[str, date | None]]:
    """Account to its cause at the cutoff, and the first day of it where that lies in the days that are looked back."""
    past = truth[truth.account_id.isin(set(accounts)) & (truth.cutoff <= pd.Timestamp(cutoff))]
    starts: dict[str, tuple[str, date | None]] = {}
    for account, life in past.sort_values("cutoff").groupby("account_id"):
        causes, days = life.cause.to_numpy(), life.cutoff.dt.date.to_numpy()
        place = len(causes) - 1
        while place and causes[place - 1] == causes[-1]:
            place -= 1
        is_recent = (cutoff.date() - days[place]).days <= LOOKED_BACK_DAYS
        starts[str(account)] = (str(causes[-1]), days[place] if is_recent else None)
    return starts


def _failing_endpoints(seed: int, *, days_before_end: int) -> set[str]:
    """Endpoints that the simulator made fail in the 28 days before: its own draw, made again from the seed."""
    from features.simulator.company import ENDPOINTS, found_company
    from features.simulator.lives import live

    accounts, days = int(COMPANY["accounts"]), int(COMPANY["days"])
    seeds = np.random.SeedSequence(seed).spawn(4 + days)
    company = found_company(accounts, days, np.random.default_rng(seeds[0]))
    level = live(company, days, np.random.default_rng(seeds[1])).failing
    recent = level[days - days_before_end - 28 : days - days_before_end].max(axis=0)
    return {f"{ENDPOINTS[place].method} {ENDPOINTS[place].route}" for place in np.flatnonzero(recent > _FAILING)}
