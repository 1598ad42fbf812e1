"""Whether the models that answered before can still be had, and whether what they answered is kept."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from features.examination import Check, Finding
from features.exceptions import counted, listed
from features.feature_store.sqlite_files import is_damaged, lacks_journal, read_ahead_journal
from features.home.home import Home
from serving.ledger.ledger import RunHead, open_ledger
from training.labels.targets import TARGETS
from training.registry.mlflow_client import is_begun
from training.registry.registry import standing

__all__ = ["CHAMPION_CHECKS", "is_readable"]


_RESTORE = "Restore it from a backup; without one, train again with `bellwether train`, then `bellwether promote`."


def _look_at_champions(home: Home, _: datetime) -> Iterator[Finding]:
    runs = _newest_runs(home)
    if not is_begun(home):
        bundles = list(home.bundles.iterdir()) if home.bundles.is_dir() else []
        if runs or bundles:
            known = [counted(len(bundles), "bundle lies|bundles lie") + f" in {home.bundles}"] if bundles else []
            known += [
                f"version {run.version} scored {target} as of {run.as_of:%Y-%m-%d}" for target, run in runs.items()
            ]
            what = "empty" if home.mlflow_database.exists() else "missing"
            yield Finding(
                f"The model registry {home.mlflow_database} is {what}, and models were registered: {listed(known)}. "
                "Nothing can be scored.",
                _RESTORE,
            )
        return
    for target in TARGETS:
        model, run = standing(home, target), runs.get(target)
        if "champion" in {*model.aliases}.difference(model.lost_aliases) or (run is None and not model.were_champion):
            continue  # a model that was tried or refused has answered for nobody
        before = model.were_champion[-1] if run is None else run.version
        since = "" if run is None else f", which scored as of {run.as_of:%Y-%m-%d},"
        versions = f"has versions ({listed(model.versions)})" if model.versions else "has no version"
        yield Finding(
            f"{model.name} {versions} and no champion in {home.mlflow_database}: nobody answers for {target}. "
            f"Version {before}{since} was champion before.",
            f"Run `bellwether promote --target {target} --version {before}`." if before in model.versions else _RESTORE,
        )


def _look_at_ledger(home: Home, _: datetime) -> Iterator[Finding]:
    again = "`bellwether doctor --repair` makes an empty one, `bellwether score` fills it. Old runs need a backup."
    if not home.ledger.exists():
        if any("champion" in standing(home, target).aliases for target in TARGETS):
            yield Finding(f"There is no score ledger {home.ledger}: the lists of accounts are empty.", again)
    elif not home.ledger.stat().st_size:
        yield Finding(f"The score ledger {home.ledger} is empty: old runs are gone, the lists of accounts too.", again)
    elif is_damaged(home.ledger):
        yield Finding(
            f"The score ledger {home.ledger} is damaged: runs cannot be read, or not all of them.",
            "Restore it from a backup; without one, move it away, then `bellwether score` begins a new one.",
        )
    elif lacks_journal(home.ledger):
        yield Finding(
            f"{home.ledger} has no write-ahead journal: readers wait while a run is written.",
            "`bellwether doctor --repair` sets it.",
        )


def _mend_ledger(home: Home, _: datetime) -> None:
    if home.ledger.exists() and is_damaged(home.ledger):
        return  # only a backup mends that
    with closing(open_ledger(home)) as ledger:
        ledger.create()
    read_ahead_journal(home.ledger)


def _newest_runs(home: Home) -> dict[str, RunHead]:
    if not is_readable(home.ledger):
        return {}
    with closing(open_ledger(home)) as ledger:
        runs = {target: ledger.latest(target) for target in TARGETS}
    return {target: run for target, run in runs.items() if run is not None}


def is_readable(ledger: Path) -> bool:
    """Whether there are runs to be looked at; SQLite makes an empty file of a name."""
    return ledger.is_file() and ledger.stat().st_size > 0 and not is_damaged(ledger)


CHAMPION_CHECKS: tuple[Check, ...] = (
    Check("champions", _look_at_champions),
    Check("ledger", _look_at_ledger, _mend_ledger),
)
"""After those of the registry, which drop what leads nowhere."""
