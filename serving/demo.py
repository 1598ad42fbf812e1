"""The demonstration: a simulated company, from its log to scored accounts with reasons."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from features.build import build
from features.cutoffs import build_cutoffs
from features.exceptions import GateRefusedError, InputError, WorkFailedError
from features.home import initialise
from features.ingest import ingest
from features.progress import Progress, silent
from features.rollup import roll_up
from features.settings import Settings
from features.simulator import simulate
from features.store import open_store
from features.windows import newest_cutoff
from serving.batch import score_batch
from serving.runs import ScoredAccount, TargetRun
from training.flow import train
from training.registry import promote
from training.text import promote_lines, train_lines

__all__ = ["DemoReport", "run_demo"]

_TARGET = "churn"
_SHOWN = 10
_STORES = ("events", "raw", "quarantine", "rollups", "features", "feast", "mlflow", "bundles", "demo")


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration found, in words, and an account worth asking the service about."""

    text: str
    riskiest_account: str


@dataclass(frozen=True)
class _Company:
    """What makes one simulated company; the same values, the same bytes."""

    accounts: int
    days: int
    seed: int
    end: str


def run_demo(
    settings: Settings, *, accounts: int, days: int, seed: int, now: datetime, progress: Progress | None = None
) -> DemoReport:
    """Simulate, ingest, build, train, promote, materialize and score; all of it in the home.

    Running it again goes on where it stopped; with other arguments, or on another day, it begins afresh.

    Raises
    ------
    InputError
        When the home holds data that is not a demonstration's.
    GateRefusedError
        When the model is not good enough to be promoted; what the training found is in the message.
    """
    progress = progress or silent
    end = newest_cutoff(now, grace_hours=settings.grace_hours)
    _begin(settings, _Company(accounts, days, seed, end.isoformat()))
    initialise(settings)
    files = settings.home / "demo" / "files"
    simulated = simulate(files, accounts=accounts, days=days, seed=seed, end=end, progress=progress)
    stored = ingest(
        settings,
        now=now,
        events=[files / "events"],
        accounts=[files / "accounts.parquet"],
        subscriptions=[files / "subscriptions.parquet"],
        touchpoints=[files / "touchpoints.parquet"],
        complete_until=end,
        progress=progress,
    )
    roll_up(settings, progress=progress)
    cutoffs = build_cutoffs(settings, now=now)
    build(settings, cutoffs, now=now, progress=progress)
    store = open_store(settings)
    store.apply()
    trained = train(settings, _TARGET, now=now, truth=files / "truth.parquet", progress=progress)
    try:
        promoted = promote(settings, _TARGET)
    except GateRefusedError as error:
        found = "\n".join(train_lines(trained))
        raise GateRefusedError(f"{error}\n\nWhat the training found:\n{found}") from error
    store.materialize(cutoffs[-1], progress=progress)
    (run,) = score_batch(settings, as_of=cutoffs[-1], now=now, progress=progress).targets
    riskiest = _riskiest(run)
    if not riskiest:
        raise WorkFailedError("No account could be scored. Give the demonstration more accounts or days.")
    lines = [
        f"{stored.events_total:,} events of {simulated.accounts:,} accounts over {days} days.",
        f"{len(cutoffs)} cutoffs built, the newest {cutoffs[-1]:%Y-%m-%d} with {len(run.accounts):,} accounts.",
        "",
        *train_lines(trained),
        "",
        *promote_lines(promoted),
        "",
        f"The {len(riskiest)} riskiest accounts ({run.in_words}):",
        *_shown(riskiest),
    ]
    return DemoReport("\n".join(lines), riskiest[0].account_id)


def _begin(settings: Settings, company: _Company) -> None:
    """Make room for this company: an earlier demonstration's other company goes, anybody's own data stays."""
    home, marker = settings.home, settings.home / "demo" / "company.json"
    wanted = json.dumps(asdict(company))
    if marker.exists():
        if marker.read_text(encoding="utf-8") == wanted:
            return
        for name in _STORES:
            shutil.rmtree(home / name, ignore_errors=True)
        for path in home.glob("ledger.db*"):
            path.unlink()
    elif (home / "events" / "_manifest.json").exists():
        raise InputError(
            f"{home} holds events that are not a demonstration's. Choose another folder: `bellwether --home DIR demo`."
        )
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(wanted, encoding="utf-8")
    except OSError as error:
        place = Path(error.filename or home)
        raise InputError(f"{place} cannot be written: {error.strerror}. Choose another with --home.") from error


def _riskiest(run: TargetRun) -> list[ScoredAccount]:
    scored = [account for account in run.accounts if account.probability is not None]
    return sorted(scored, key=lambda account: (-(account.probability or 0.0), account.account_id))[:_SHOWN]


def _shown(accounts: list[ScoredAccount]) -> Iterator[str]:
    for account in accounts:
        money = "" if account.mrr is None else f"  MRR {account.mrr:,.0f}, at risk {account.mrr_at_risk:,.0f}"
        yield f"  {account.account_id:<14}{100 * (account.probability or 0.0):5.1f} %  {account.band or '':<7}{money}"
        raising = [reason for reason in account.reasons if reason.direction == "raises"]
        for reason in (raising or list(account.reasons))[:3]:
            yield f"      {reason.contribution:+.2f}  {reason.text}"
