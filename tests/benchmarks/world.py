"""A small simulated company with trained champions, online and offline: what scoring is measured on."""

import sys
from datetime import timedelta
from pathlib import Path

from features.exceptions import GateRefusedError, WorkFailedError
from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.windows import DAY, cutoffs_between, utc

END = utc(2026, 6, 29)
ACCOUNTS, SIMULATED_DAYS, CALLS_PER_DAY, SEED = 1000, 300, 2.5, 7


def make_world(root: Path) -> Settings:
    """Simulate, ingest, roll up, build, apply, materialize, train, promote; as the demo does."""
    from features.build.build import build
    from features.feature_store.store import open_store
    from features.ingest.ingest import ingest
    from features.rollup.count import roll_up
    from features.simulator import simulate
    from training.flow import train
    from training.registry.promotion import promote

    files = root / "files"
    simulate(files, accounts=ACCOUNTS, days=SIMULATED_DAYS, calls_per_day=CALLS_PER_DAY, seed=SEED, end=END)
    settings = load_settings(home=root / "home", stale_after_hours=1e6)
    now = END + timedelta(hours=12)
    tables = {name: [files / f"{name}.parquet"] for name in ("accounts", "subscriptions", "touchpoints")}
    ingest(Home(settings), now=now, events=[files / "events"], **tables)
    roll_up(Home(settings))
    build(Home(settings), list(cutoffs_between(END - (SIMULATED_DAYS - 28) * DAY, END)), now=now)
    store = open_store(Home(settings))
    store.apply()
    store.materialize(END)
    for target in ("churn", "upsell"):
        try:
            promote(Home(settings), target, version=train(Home(settings), target, now=now).version, unproven=True)
        except (GateRefusedError, WorkFailedError) as error:
            if target == "churn":
                raise
            # So small a company may have too few upgrades to learn from; the rows say how many targets they measured.
            print(f"world: no {target} model: {error}", file=sys.stderr, flush=True)
    return settings
