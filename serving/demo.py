"""The demonstration: a simulated company, from its log to scored accounts with reasons."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from features.build.build import build
from features.build.which_cutoffs import build_cutoffs
from features.exceptions import GateRefusedError, InputError, WorkFailedError
from features.feature_store.store import open_store
from features.fingerprint import digest
from features.home.home import Home
from features.ingest.inbox import TakenFiles
from features.ingest.ingest import ingest
from features.init import initialise
from features.progress import Progress, silent
from features.rollup.count import roll_up
from features.settings.load import load_settings
from features.shares import percent
from features.simulator import simulate
from features.storage.state_file import recall, remember
from features.storage.store import ManifestStore
from features.windows import newest_cutoff
from serving.ledger.runs import ScoredAccount, TargetRun
from serving.routine.batch import score_batch
from serving.routine.terminal import in_money, who
from serving.scoring.offers import HELD_BACK
from training.flow import TrainReport, train
from training.registry.champions import champion_version
from training.registry.promotion import PromoteReport, promote
from training.text import promote_lines, train_lines

__all__ = ["DemoReport", "home_of_demo", "run_demo"]

_TARGET, _UPSELL = "churn", "upsell"
_SHOWN, _CANDIDATES = 10, 5
_SETTINGS = """\
# Settings of the demonstration's home, read when no other settings file is named.
value_endpoints = ["POST /v1/orders", "POST /v1/payments"]
"""


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


def home_of_demo(home: Home) -> Home:
    """The home under the settings that suit the simulated company: which endpoints make its product's value.

    They are written into the home, so that every later command reads the home under them.

    Raises
    ------
    InputError
        When the home holds data that is not a demonstration's, or cannot be written.
    """
    _refuse_foreign(home)
    path = home.settings_file
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(_SETTINGS, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another with --home.") from error
    return Home(load_settings(path, home=home.root))


def run_demo(
    home: Home, *, accounts: int, days: int, seed: int, now: datetime, progress: Progress | None = None
) -> DemoReport:
    """Simulate, ingest, build, train, promote, materialize and score; all of it in the home.

    Running it again goes on where it stopped; with other arguments, or on another day, it begins afresh.

    Raises
    ------
    InputError
        When the home holds data that is not a demonstration's, or to begin afresh would remove what came in since.
    GateRefusedError
        When the model is not good enough to be promoted; what the training found is in the message.
    """
    progress = progress or silent
    end = newest_cutoff(now, grace_hours=home.settings.grace_hours)
    _begin(home, _Company(accounts, days, seed, end.isoformat()))
    initialise(home)
    files = home.demo / "files"
    simulated = simulate(files, accounts=accounts, days=days, seed=seed, end=end, progress=progress)
    stored = ingest(
        home,
        now=now,
        events=[files / "events"],
        accounts=[files / "accounts.parquet"],
        subscriptions=[files / "subscriptions.parquet"],
        touchpoints=[files / "touchpoints.parquet"],
        complete_until=end,
        progress=progress,
    )
    _remember_data(home)
    roll_up(home, progress=progress)
    cutoffs = build_cutoffs(home, now=now)
    build(home, cutoffs, now=now, progress=progress)
    store = open_store(home)
    store.apply()
    truth = files / "truth.parquet"
    churn = _champion(home, _TARGET, truth, now, progress)
    try:
        upsell = _champion(home, _UPSELL, truth, now, progress)
    except (GateRefusedError, WorkFailedError) as error:  # a company too small for upgrades is still a demonstration
        upsell = [f"{_UPSELL} has no champion. {error}"]
    store.materialize(cutoffs[-1], progress=progress)
    runs = {run.target: run for run in score_batch(home, as_of=cutoffs[-1], now=now, progress=progress).targets}
    run = runs[_TARGET]
    riskiest = _first(run, _SHOWN)
    if not riskiest:
        raise WorkFailedError("No account could be scored. Give the demonstration more accounts or days.")
    lines = [
        f"{stored.events_total:,} events of {simulated.accounts:,} accounts over {days} days.",
        f"{len(cutoffs)} cutoffs built, the newest {cutoffs[-1]:%Y-%m-%d} with {len(run.accounts):,} accounts.",
        "",
        *churn,
        "",
        *upsell,
        "",
        f"The {len(riskiest)} riskiest accounts ({run.in_words}):",
        *_shown(riskiest),
    ]
    if _UPSELL in runs:
        best = [account for account in _first(runs[_UPSELL]) if account.offer][:_CANDIDATES]
        held_back = sum(HELD_BACK in (account.detail or "") for account in runs[_UPSELL].accounts)
        summary = f"{runs[_UPSELL].in_words}; {held_back:,} held back while churn risk is high"
        many = f"The {len(best)} best candidates for an upgrade" if best else "Nobody to offer an upgrade"
        lines += ["", f"{many} ({summary}){':' if best else '.'}", *_shown(best)]
    return DemoReport("\n".join(lines), riskiest[0].account_id)


def _champion(home: Home, target: str, truth: Path, now: datetime, progress: Progress) -> list[str]:
    """Train, and let somebody answer: the model; where it is refused, or an upgrade rests on it, rather the rule.

    Raises
    ------
    GateRefusedError
        When nobody can answer; what the training found is in the message.
    """
    trained = train(home, target, now=now, truth=truth, progress=progress)
    answer = trained.verdict.answer
    rule = answer == "refused" or (answer == "not_shown" and target == _UPSELL)
    try:
        return list(_lines(trained, promote(home, target, unproven=not rule, rule=rule)))
    except GateRefusedError as error:
        report = list(train_lines(trained))
        if champion_version(home, target) is not None:  # of an earlier run, and good enough to stay
            return [*report, "", str(error)]
        raise GateRefusedError("\n".join([f"{error}\n\nWhat the training found:", *report])) from error


def _lines(trained: TrainReport, promoted: PromoteReport) -> Iterator[str]:
    yield from train_lines(trained)
    yield ""
    verdict = trained.verdict  # which has just been said
    more = [remark for remark in promoted.remarks if not remark.endswith(verdict.reason)]
    if promoted.rule is not None:
        more.insert(0, "The rule answers in place of the model, as by `promote --rule`.")
    elif verdict.is_unproven:
        more.insert(0, "Promoted all the same, as by `promote --unproven`; its answers say so.")
    yield from promote_lines(replace(promoted, remarks=tuple(more)))


def _refuse_foreign(home: Home) -> None:
    if home.stores.events.is_begun() and not home.demo_state.exists():
        raise InputError(
            f"{home.root} holds events that are not a demonstration's. "
            "Choose another folder: `bellwether --home DIR demo`."
        )


def _begin(home: Home, company: _Company) -> None:
    """Make room for this company: an earlier demonstration's other company goes, anybody's own data stays."""
    marker = home.demo_state
    _refuse_foreign(home)
    remembered = recall(marker)
    if remembered.get("company") == asdict(company):
        return
    if marker.exists():
        _refuse_additions(home, remembered)
        home.empty()
    try:
        remember(marker, {"company": asdict(company)})
    except WorkFailedError as error:
        raise InputError(f"{error} Or choose another home with --home.") from error


def _refuse_additions(home: Home, remembered: Mapping[str, Any]) -> None:
    """Keep what came in after the demonstration's own data: it is nowhere else, perhaps."""
    is_added = any(store.manifest().partitions for store in _data(home)) and remembered.get("data") != _state(home)
    if is_added or TakenFiles(home).names:
        raise InputError(
            f"{home.root} holds more than an earlier demonstration put there, and this one would remove it. "
            "Give it another home: `bellwether --home DIR demo`; or `make clean` if nothing is needed any more."
        )


def _remember_data(home: Home) -> None:
    """Write down, once, what the demonstration itself put in."""
    marker = home.demo_state
    remembered = recall(marker)
    if "data" not in remembered:
        remember(marker, {**remembered, "data": _state(home)})


def _state(home: Home) -> str:
    return digest([store.manifest().partitions for store in _data(home)])


def _data(home: Home) -> tuple[ManifestStore, ManifestStore]:
    return home.stores.events, home.stores.raw


def _first(run: TargetRun, limit: int | None = None) -> list[ScoredAccount]:
    """Accounts with a score, the most probable first."""
    scored = [account for account in run.accounts if account.probability is not None]
    return sorted(scored, key=lambda account: (-(account.probability or 0.0), account.account_id))[:limit]


def _shown(accounts: list[ScoredAccount]) -> Iterator[str]:
    for account in accounts:
        named = who(account.account_id, account.name, account.owner)
        yield f"  {named}: {percent(account.probability or 0.0)}, {account.band}{in_money(account)}"
        raising = [reason for reason in account.reasons if reason.direction == "raises"]
        for reason in (raising or list(account.reasons))[:3]:
            yield f"      {reason.contribution:+.2f}  {reason.text}"
