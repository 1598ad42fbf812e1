"""Commands of the features room: from files to feature rows in the store."""

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from features.console import FORMATS, emit, emit_notes, progress_bar, say
from features.exceptions import InputError, WorkFailedError, listed
from features.home.home import Home

__all__ = ["commands", "features", "ingest", "init", "main", "settings", "simulate"]

_FORMAT = click.option("--format", "output", default="table", show_default=True, type=FORMATS)


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
    help="Guess a mapping from this file's columns; once per table, which may be named: accounts=crm.csv.",
)
@click.option(
    "--write",
    "target",
    type=click.Path(path_type=Path),
    default=Path("bellwether.toml"),
    show_default=True,
    help="Settings file to write; one that is there is left alone.",
)
@click.pass_obj
def init(home: Home, sources: tuple[str, ...], target: Path) -> None:
    """Make the home: stores, secret key, and a commented settings file."""
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
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder to write.")
@click.option("--accounts", default=1000, show_default=True, type=click.IntRange(1), help="Accounts to simulate.")
@click.option("--days", default=300, show_default=True, type=click.IntRange(1), help="Days of history.")
@click.option(
    "--calls-per-day", default=10.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Per account."
)
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Same seed and end, same bytes.")
@click.option("--end", metavar="D", help="First day that is not simulated.  [default: the newest buildable midnight]")
@_FORMAT
@click.pass_obj
def simulate(
    home: Home,
    out: Path,
    accounts: int,
    days: int,
    calls_per_day: float,
    seed: int,
    end: str | None,
    output: str,
) -> None:
    """Write the raw tables of a company whose truth is known."""
    from features.simulator import simulate as run
    from features.windows import as_cutoff, newest_cutoff

    until = as_cutoff(end) if end else newest_cutoff(_now(), grace_hours=home.settings.grace_hours)
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
@click.option("--events", multiple=True, metavar="P", help="File, folder or quoted glob of API calls; may be repeated.")
@click.option("--accounts", multiple=True, metavar="P", help="Accounts, likewise.")
@click.option("--subscriptions", multiple=True, metavar="P", help="Subscription events, likewise.")
@click.option("--touchpoints", multiple=True, metavar="P", help="Tickets, surveys, logins, likewise.")
@click.option(
    "--backfill", is_flag=True, help="First load: rows that do not say when they became known were when they happened."
)
@click.option("--complete-until", metavar="D", help="The tables given now hold everything before this moment.")
@click.option("--dry-run", is_flag=True, help="Store nothing: show mapping, ten rows, refusals, patterns to declare.")
@_FORMAT
@click.pass_obj
def ingest(
    home: Home,
    events: tuple[str, ...],
    accounts: tuple[str, ...],
    subscriptions: tuple[str, ...],
    touchpoints: tuple[str, ...],
    backfill: bool,  # noqa: FBT001 - click hands flags over by name
    complete_until: str | None,
    dry_run: bool,  # noqa: FBT001 - likewise
    output: str,
) -> None:
    """Validate files, store what is good, quarantine the rest with a reason."""
    if dry_run:
        _dry_run(
            home,
            {"events": events, "accounts": accounts, "subscriptions": subscriptions, "touchpoints": touchpoints},
            backfill=backfill,
            output=output,
        )
        return
    from features.ingest.ingest import ingest as run

    with progress_bar() as progress:
        report = run(
            home,
            now=_now(),
            events=events,
            accounts=accounts,
            subscriptions=subscriptions,
            touchpoints=touchpoints,
            backfill=backfill,
            complete_until=_moment(complete_until) if complete_until else None,
            progress=progress,
        )
    emit([table.row(with_values=output != "table") for table in report.tables], output)
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
@click.option("--from", "first", metavar="D", help="First cutoff.  [default: four weeks after the first event]")
@click.option("--to", "last", metavar="D", help="Last cutoff.  [default: where the events end]")
@click.option("--every", default="7d", show_default=True, metavar="Nd", help="Step; whole weeks fall on Mondays.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be built, and why; write nothing.")
@_FORMAT
@click.pass_obj
def build(
    home: Home,
    first: str | None,
    last: str | None,
    every: str,
    only_plan: bool,  # noqa: FBT001 - click hands flags over by name
    output: str,
) -> None:
    """Count new events into rollups, then build a feature row per account and cutoff."""
    from features.build.build import build as run
    from features.build.unknown_accounts import strange_accounts
    from features.build.which_cutoffs import build_cutoffs
    from features.external.take import take_tables
    from features.ingest.late_source import log_end
    from features.offline.cutoffs import is_of_earlier_version
    from features.rollup.count import roll_up
    from features.rollup.metrics import empty_metrics

    now = _now()
    cutoffs = build_cutoffs(home, now=now, first=first, last=last, every_days=_days(every))
    if only_plan:
        from features.build.stale import planned_rows

        rows = planned_rows(home, cutoffs, home.catalog.groups)
        emit(rows, output)
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


@features.command()
@click.pass_obj
def apply(home: Home) -> None:
    """Register the views and services of the catalogue in Feast."""
    from features.feature_store.store import open_store

    for name in open_store(home).apply():
        say(name)


@features.command()
@click.option("--as-of", metavar="D", help="Cutoff to bring online.  [default: the newest built]")
@click.pass_obj
def materialize(home: Home, as_of: str | None) -> None:
    """Copy one cutoff's features into the online store."""
    from features.feature_store.store import open_store
    from features.offline.cutoffs import left_out
    from features.offline.default_cutoff import default_cutoff
    from features.windows import as_cutoff

    emit_notes(left_out(home))
    cutoff = as_cutoff(as_of) if as_of else default_cutoff(home, now=_now())
    with progress_bar() as progress:
        accounts = open_store(home).materialize(cutoff, progress=progress)
    say(f"{accounts:,} accounts online as of {cutoff:%Y-%m-%d}.")


@features.command()
@click.option("--group", help="One group of features only.")
@_FORMAT
@click.pass_obj
def describe(home: Home, group: str | None, output: str) -> None:
    """Say what every feature means, your own included; json and csv also say when it is null and more."""
    from features.definitions.describe import described
    from features.rollup.metrics import empty_metrics

    catalog = home.catalog
    groups = catalog.described_groups
    if group is not None and group not in groups:
        raise InputError(f"There is no group {group!r}. The groups are {', '.join(groups)}.")
    rows = [row for row in described(catalog) if group in (None, row["group"])]
    if output == "table":
        rows = [
            {name: row[name] for name in ("feature", "family", "window", "unit", "churn", "meaning")} for row in rows
        ]
    emit(rows, output)
    emit_notes(empty_metrics(home))


@click.command()
@_FORMAT
@click.pass_obj
def settings(home: Home, output: str) -> None:  # the command and its object share a word
    """Show every setting: value, default, unit, meaning; keys are masked."""
    from features.settings.template import settings_rows

    rows = settings_rows(home.settings)
    if output == "table":  # a port is a number, and 3,000 is not how one writes it
        rows = [{name: str(cell) for name, cell in row.items()} for row in rows]
    emit(rows, output)


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


def _days(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d{0,3})d", text)
    if match is None:
        raise InputError(f"--every {text} is not a number of days. Write it as 7d.")
    return int(match[1])


def _moment(text: str) -> datetime:
    """A moment with an offset, or a date: its midnight in UTC."""
    from features.windows import as_cutoff, require_utc

    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return as_cutoff(text)
    try:
        return require_utc(datetime.fromisoformat(text), what="--complete-until")
    except ValueError as error:
        raise InputError(f"{text!r} is not a time. Write it as YYYY-MM-DD or 2026-06-29T12:00:00+00:00.") from error
