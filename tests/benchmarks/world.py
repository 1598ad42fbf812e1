"""A small simulated company with a trained champion, online and offline: what scoring is measured on."""

from datetime import timedelta
from pathlib import Path

from features.settings import Settings, load_settings
from features.windows import DAY, cutoffs_between, utc

END = utc(2026, 6, 29)
ACCOUNTS, SIMULATED_DAYS, CALLS_PER_DAY = 400, 300, 5.0


def make_world(root: Path) -> Settings:
    """Simulate, ingest, roll up, build, apply, materialize, train, promote; as the demo does."""
    from features.build import build
    from features.ingest import ingest
    from features.rollup import roll_up
    from features.simulator import simulate
    from features.store import open_store
    from training.flow import train
    from training.registry import promote

    files = root / "files"
    simulate(files, accounts=ACCOUNTS, days=SIMULATED_DAYS, calls_per_day=CALLS_PER_DAY, seed=11, end=END)
    settings = load_settings(home=root / "home", stale_after_hours=1e6)
    now = END + timedelta(hours=12)
    tables = {name: [files / f"{name}.parquet"] for name in ("accounts", "subscriptions", "touchpoints")}
    ingest(settings, now=now, events=[files / "events"], **tables)
    roll_up(settings)
    build(settings, list(cutoffs_between(END - (SIMULATED_DAYS - 28) * DAY, END)), now=now)
    store = open_store(settings)
    store.apply()
    store.materialize(END)
    version = train(settings, "churn", now=now).version
    promote(settings, "churn", version=version)
    return settings
