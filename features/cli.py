"""Commands of the features room: from files to feature rows in the store."""

from datetime import UTC, datetime
from pathlib import Path

import click

from features.choices import (
    Cutoff,
    Days,
    Moment,
    NewFile,
    NewFolder,
    SourcePath,
    require_any,
    require_come,
    require_order,
)
from features.console import emit, emit_notes, format_option, progress_bar, say
from features.descriptions import describe, settings
from features.exceptions import WorkFailedError, counted, listed
from features.home.home import Home
from features.home.presence import pass_home

__all__ = ["commands", "features", "ingest", "init", "main", "settings", "simulate"]

_PATH = SourcePath()


@click.command(
    epilog="""\b
Examples:
  bellwether init
  bellwether init --from logs/2026-06-01.parquet
  bellwether init --from calls.jsonl --from accounts.csv --from subscriptions=billing.csv
"""
)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="[TABLE=]FILE",
    type=SourcePath(is_named=True),
    help="Guess a mapping from this file's columns; once per table, which may be named: accounts=crm.csv.",
)
@click.option(
    "--write",
    "target",
    type=click.Path(path_type=Path),
    default="bellwether.toml",
    show_default=True,
    help="Settings file to write; one that is there is left alone.",
)
@click.pass_obj
def init(home: Home, sources: tuple[str, ...], target: Path) -> None:
    """Make the home and a commented settings file. A home has its stores and its secret key."""
    if not target.exists() and target.absolute().parent != home.root:  # which is made here
        NewFile().read(str(target))
    from features.init import initialise, write_configuration

    for line in (*initialise(home), *write_configuration(target, now=_now(), sources=sources)):
        say(line)


@click.command(
    epilog="""\b
Examples:
  bellwether simulate --out company
  bellwether simulate --out company --accounts 200 --days 120 --end 2026-06-29
"""
)
@click.option("--out", required=True, type=NewFolder(), metavar="DIR", help="Folder to write.")
@click.option("--accounts", default=1000, show_default=True, type=click.IntRange(1), help="Accounts to simulate.")
@click.option("--days", default=300, show_default=True, type=click.IntRange(1), help="Days of history.")
@click.option(
    "--calls-per-day", default=10.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Per account."
)
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Same seed and end, same bytes.")
@click.option(
    "--end",
    metavar="D",
    type=Cutoff(),
    help="First day that is not simulated.  [default: the newest buildable midnight]",
)
@format_option
@click.pass_obj
def simulate(
    home: Home,
    out: Path,
    accounts: int,
    days: int,
    calls_per_day: float,
    seed: int,
    end: datetime | None,
    output: str,
) -> None:
    """Write the raw tables of a company whose truth is known."""
    from features.simulator import simulate as run
    from features.windows import newest_cutoff

    until = end or newest_cutoff(_now(), grace_hours=home.settings.grace_hours)
    with progress_bar() as progress:
        report = run(
            out,
            accounts=accounts,
            days=days,
            calls_per_day=calls_per_day,
            seed=seed,
            end=until,
            progress=progress,
        )
    names = ("accounts", "events", "late", "duplicates", "conflicts", "synthetic", "churned", "returned", "upgrades")
    emit([{"what": name, "count": getattr(report, name)} for name in names], output)


@click.command(
    epilog="""\b
Examples:
  bellwether ingest --events 'logs/*.parquet' --accounts accounts.csv --backfill
  bellwether ingest --events logs/2026-06-29.csv.gz
  bellwether ingest --events /var/log/nginx --dry-run
  bellwether ingest --subscriptions crm.csv --complete-until 2026-06-29
"""
)
@click.option(
    "--events",
    multiple=True,
    metavar="P",
    type=_PATH,
    help="File, folder or quoted glob of API calls; may be repeated.",
)
@click.option("--accounts", multiple=True, metavar="P", type=_PATH, help="Accounts, likewise.")
@click.option("--subscriptions", multiple=True, metavar="P", type=_PATH, help="Subscription events, likewise.")
@click.option("--touchpoints", multiple=True, metavar="P", type=_PATH, help="Tickets, surveys, logins, likewise.")
@click.option(
    "--backfill", is_flag=True, help="First load: rows that do not say when they became known were when they happened."
)
@click.option(
    "--complete-until", metavar="D", type=Moment(), help="The tables given now hold everything before this moment."
)
@click.option("--dry-run", is_flag=True, help="Store nothing: show mapping, ten rows, refusals, patterns to declare.")
@format_option
@click.pass_obj
def ingest(
    home: Home,
    events: tuple[str, ...],
    accounts: tuple[str, ...],
    subscriptions: tuple[str, ...],
    touchpoints: tuple[str, ...],
    backfill: bool,  # noqa: FBT001 - click hands flags over by name
    complete_until: datetime | None,
    dry_run: bool,  # noqa: FBT001 - likewise
    output: str,
) -> None:
    """Validate files, store what is good, quarantine the rest. Each row there has its reason."""
    given = {"events": events, "accounts": accounts, "subscriptions": subscriptions, "touchpoints": touchpoints}
    require_any(given)
    if dry_run:
        _dry_run(home, given, backfill=backfill, output=output)
        return
    from features.ingest.ingest import ingest as run

    with progress_bar() as progress:
        report = run(
            home,
            now=_now(),
            **given,
            backfill=backfill,
            complete_until=complete_until,
            progress=progress,
        )
    emit([table.row(for_people=output == "table") for table in report.tables], output)
    emit_notes(report.notes)
    report.require_good_rows()
    if report.damaged:
        raise WorkFailedError(f"Left out as damaged: {listed([path.name for path in report.damaged])}. The rest is in.")


@click.group()
def features() -> None:
    """Build feature rows and bring them into the store."""


@features.command(
    epilog="""\b
Examples:
  bellwether features build
  bellwether features build --from 2026-01-05 --to 2026-06-29 --every 7d
  bellwether features build --plan
"""
)
@click.option(
    "--from", "first", metavar="D", type=Cutoff(), help="First cutoff.  [default: four weeks after the first event]"
)
@click.option("--to", "last", metavar="D", type=Cutoff(), help="Last cutoff.  [default: where the events end]")
@click.option(
    "--every", default="7d", show_default=True, metavar="Nd", type=Days(), help="Step; whole weeks fall on Mondays."
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be built, and why; write nothing.")
@format_option
@pass_home
def build(
    home: Home,
    first: datetime | None,
    last: datetime | None,
    every: int,
    only_plan: bool,  # noqa: FBT001 - click hands flags over by name
    output: str,
) -> None:
    """Count new events and build feature rows. There is one per account and cutoff."""
    now = _now()
    require_order(first, last)
    require_come(first, option="--from", now=now)
    require_come(last, option="--to", now=now)
    from features.build.build import build as run
    from features.build.unknown_accounts import strange_accounts
    from features.build.which_cutoffs import build_cutoffs
    from features.external.take import take_tables
    from features.ingest.late_source import log_end
    from features.offline.cutoffs import is_of_earlier_version
    from features.rollup.count import roll_up
    from features.rollup.metrics import empty_metrics

    cutoffs = build_cutoffs(home, now=now, first=first, last=last, every_days=every)
    if only_plan:
        from features.build.stale import PLAN_COLUMNS, planned_rows

        rows = planned_rows(home, cutoffs, home.catalog.groups)
        emit(rows, output, columns=PLAN_COLUMNS)
        if not rows:
            emit_notes([f"Nothing to build: {len(cutoffs)} cutoffs are as a build would make them."])
        return
    if is_of_earlier_version(home):
        emit_notes(["This home was counted and built by an earlier version; both are done once more, from its events."])
    taken = take_tables(home, now=now)
    with progress_bar() as progress:
        counted = roll_up(home, progress=progress)
        run(home, cutoffs, now=now, progress=progress)
    emit(
        [
            {"what": "event days counted", "count": counted.days_counted},
            {"what": "cutoffs built", "count": len(cutoffs)},
            {"what": "first cutoff", "count": f"{cutoffs[0]:%Y-%m-%d}"},
            {"what": "last cutoff", "count": f"{cutoffs[-1]:%Y-%m-%d}"},
            *({"what": f"new rows of table {table.name}", "count": table.new} for table in taken),
        ],
        output,
    )
    notes = [*(note for table in taken for note in table.notes), *log_end(home, now=now).told(cutoffs)]
    emit_notes([*notes, *strange_accounts(home), *empty_metrics(home)])


@features.command(
    epilog="""\b
Examples:
  bellwether features apply
  bellwether features apply --format json
"""
)
@format_option
@pass_home
def apply(home: Home, output: str) -> None:
    """Register the views and services of the catalogue in Feast."""
    from features.feature_store.store import open_store

    emit([{"registered": name} for name in open_store(home).apply()], output)


@features.command(
    epilog="""\b
Examples:
  bellwether features materialize
  bellwether features materialize --as-of 2026-06-29
"""
)
@click.option("--as-of", metavar="D", type=Cutoff(), help="Cutoff to bring online.  [default: the newest built]")
@format_option
@pass_home
def materialize(home: Home, as_of: datetime | None, output: str) -> None:
    """Copy one cutoff's features into the online store."""
    from features.offline.named_cutoff import require_listed

    require_listed(home, as_of, now=_now())
    from features.feature_store.store import open_store
    from features.offline.cutoffs import left_out
    from features.offline.default_cutoff import default_cutoff

    emit_notes(left_out(home))
    cutoff = as_of or default_cutoff(home, now=_now())
    with progress_bar() as progress:
        accounts = open_store(home).materialize(cutoff, progress=progress)
    if output == "table":
        say(f"{counted(accounts, 'account|accounts')} online as of {cutoff:%Y-%m-%d}.")
    else:
        emit([{"as_of": cutoff, "accounts": accounts}], output)


features.add_command(describe)

commands: list[click.Command] = [init, simulate, ingest, features, settings]


@click.group()
@click.option("--home", type=click.Path(path_type=Path), help="Folder of every store.  [default: var]")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.")
@click.pass_context
def main(context: click.Context, home: Path | None, config: Path | None) -> None:
    """The features room alone; `bellwether` has every command."""
    from features.home.private import keep_private
    from features.settings.load import load_settings
    from features.start import start

    start()
    if not isinstance(context.obj, Home):
        context.obj = Home(load_settings(config, home=home))
        keep_private(context.obj)


for _command in commands:
    main.add_command(_command)


def _dry_run(home: Home, given: dict[str, tuple[str, ...]], *, backfill: bool, output: str) -> None:
    from features.ingest.dry_run import dry_run
    from features.ingest.dry_run_text import show_dry_run

    with progress_bar() as progress:
        outcome = dry_run(home, given, now=_now(), backfill=backfill, progress=progress)
    show_dry_run(outcome, output)


def _now() -> datetime:
    return datetime.now(UTC)
