"""The command line: joins the commands of every room."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from features import cli as features_cli
from features.choices import Cutoff, NewFile, require_come
from features.command_line import CommandLine
from features.console import (
    emit,
    emit_document,
    emit_json,
    emit_notes,
    emit_text,
    format_option,
    progress_bar,
    say,
    terminal_width,
)
from features.home.home import Home
from features.home.presence import pass_home
from features.home.private import keep_private
from features.settings.load import load_settings
from features.start import start
from features.version import bellwether_version
from serving.service_commands import config_file, demo, serve
from training import cli as training_cli
from training.labels.names import TARGET_NAMES

__all__ = ["commands", "main"]


_AS_OF = Cutoff()


@click.group(
    "bellwether", cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder of every store.  [default: var]")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.  [default: bellwether.toml]")
@click.version_option(bellwether_version(), prog_name="bellwether")
@click.pass_context
def main(context: click.Context, home: Path | None, config: Path | None) -> None:
    """Early warning for API companies: which accounts are about to leave, and why."""
    start()
    if isinstance(context.obj, Home):
        return
    context.obj = Home(load_settings(config_file(config), home=home))
    keep_private(context.obj)
    context.call_on_close(sys.stdout.flush)


@click.command(
    epilog="""\b
Examples:
  bellwether score
  bellwether score --out scores.csv --top 50 --sort probability
"""
)
@click.option("--as-of", metavar="D", type=_AS_OF, help="Cutoff to score, YYYY-MM-DD.  [default: the newest built]")
@click.option(
    "--out", metavar="FILE", type=NewFile(".csv", ".parquet"), help="Also write every row to FILE.csv or FILE.parquet."
)
@click.option("--top", default=20, show_default=True, type=click.IntRange(1), help="Accounts to print.")
@click.option(
    "--sort",
    type=click.Choice(["mrr_at_risk", "probability"]),
    help="The largest first.  [default: mrr_at_risk; probability where no MRR is at risk]",
)
@format_option
@pass_home
def score(home: Home, as_of: datetime | None, out: Path | None, top: int, sort: str | None, output: str) -> None:
    """Score and explain every account. The run is appended to the ledger."""
    from features.offline.named_cutoff import require_listed

    require_listed(home, as_of, now=_now())
    from features.offline.cutoffs import left_out
    from serving.routine.batch import score_batch
    from serving.routine.export import export
    from serving.routine.terminal import RISKIEST_COLUMNS, for_people, riskiest

    with progress_bar() as progress:
        run = score_batch(home, as_of=as_of, now=_now(), progress=progress)
    emit_notes(left_out(home))
    for part in run.targets:
        say(part.in_words, err=True)
        if part.rule is not None:
            say(f"  Rule: {part.rule}.", err=True)
    rows = [row for part in run.targets for row in riskiest(part, limit=top, sort=sort)]
    emit(for_people(rows) if output == "table" else rows, output, columns=RISKIEST_COLUMNS)
    if out is not None:
        export(run, out)
        say(f"Wrote {out}", err=True)
    if run.failures:  # the others are scored
        raise run.failures[0]


@click.command(
    epilog="""\b
Examples:
  bellwether explain acct_000042
  bellwether explain acct_000042 --target churn --format json
"""
)
@click.argument("account")
@click.option(
    "--target",
    metavar="T",
    type=click.Choice(TARGET_NAMES),
    help="One target: churn, upsell or churn_inactivity.  [default: every target with a champion]",
)
@click.option("--as-of", metavar="D", type=_AS_OF, help="Cutoff to explain, YYYY-MM-DD.  [default: the newest built]")
@format_option
@pass_home
def explain(home: Home, account: str, target: str | None, as_of: datetime | None, output: str) -> None:
    """Show one account's score, its reasons, what is wrong there."""
    from features.offline.named_cutoff import require_listed

    require_listed(home, as_of, now=_now())
    from training.registry.recorded import require_champion

    require_champion(home, target)
    from serving.routine.batch import score_account
    from serving.routine.diagnosed import diagnosis_lines, diagnosis_of
    from serving.routine.explained import explained_json, explained_rows
    from serving.routine.terminal import explanation

    now = _now()
    run = score_account(home, account, target=target, as_of=as_of, now=now)
    if output == "json":
        emit_json(explained_json(run, diagnosis_of(home, account, run.as_of), now=now))
    elif output == "csv":
        emit(explained_rows(run), output)
    else:
        for line in (line for part in run.targets for line in explanation(part, account, width=terminal_width())):
            emit_text(line)
        for line in diagnosis_lines(diagnosis_of(home, account, run.as_of)):
            emit_text(line)


@click.command(
    epilog="""\b
Examples:
  bellwether nightly
  bellwether nightly --as-of 2026-06-29 --format json
"""
)
@click.option(
    "--as-of",
    metavar="D",
    type=_AS_OF,
    help="Cutoff to bring everything up to, YYYY-MM-DD.  [default: today's midnight]",
)
@click.option("--force", is_flag=True, help="Go on though the source is late, or the clock ahead.")
@format_option
@pass_home
def nightly(home: Home, as_of: datetime | None, force: bool, output: str) -> None:  # noqa: FBT001 - as above
    """Take new files in, build, materialize and score.

    It is safe to run again. New files lie in the inbox, in the sub-folders events, accounts, subscriptions and
    touchpoints. Leaves with 0 when all is done; 1 when a step failed, a file was refused or nothing of it could be
    stored, the newest event lies too long ago (source late: nobody is scored without --force), or the online store
    holds a newer day; 2 before the grace is over; 3 when there is no champion yet or a store is away; 5 while another
    night runs.
    """
    require_come(as_of, option="--as-of", now=_now())
    from serving.routine.nightly import run_nightly
    from serving.routine.nightly_text import nightly_json, nightly_lines

    with progress_bar() as progress:
        report = run_nightly(home, as_of=as_of, now=_now(), force=force, progress=progress)
    if output == "table":
        for line in nightly_lines(report):
            emit_text(line)
    else:
        emit_document(nightly_json(report), output)
    if report.failure is not None:
        error = report.failure.error
        raise type(error)(f"Step {report.failure.step}: {error}") from error


@click.command(
    epilog="""\b
Examples:
  bellwether doctor
  bellwether doctor --repair
  bellwether doctor --format json
"""
)
@click.option("--repair", is_flag=True, help="Mend what can be mended without losing anything.")
@format_option
@pass_home
def doctor(home: Home, repair: bool, output: str) -> None:  # noqa: FBT001 - click hands flags over by name
    """Look for what is wrong with the home, and say what to do.

    A remark is of something that is only left to do. A copy of what a repair changes is kept in set-aside/ below the
    home. Leaves with 0 when nothing is wrong, remarks or not, or all was repaired, 1 when something wrong is left, and
    2 where there is no home.
    """
    from serving.doctor import FINDING_COLUMNS, examine_home, finding_rows, is_wrong, summary

    now = _now()
    results = examine_home(home, now=now, repair=repair)
    if results or output != "table":
        emit(finding_rows(results), output, columns=FINDING_COLUMNS)
    say(summary(home, results, now=now), err=True)
    sys.exit(1 if any(map(is_wrong, results)) else 0)


@click.command(
    epilog="""\b
Examples:
  bellwether features check
  bellwether features check --as-of 2026-06-29 --json quality.json
"""
)
@click.option("--as-of", metavar="D", type=_AS_OF, help="Cutoff to look at, YYYY-MM-DD.  [default: the newest built]")
@click.option("--json", "file", type=NewFile(), metavar="FILE", help="Also write everything there.")
@format_option
@pass_home
def check(home: Home, as_of: datetime | None, file: Path | None, output: str) -> None:
    """Look at the quality of features and sources. Says what deserves a look.

    Row counts, nulls and ranges, freshness by source, late events, quarantine, accounts that tables lack, and the
    shift against each champion. Changes nothing. Leaves with 0 when nothing is wrong, remarks or not, 1 when something
    is wrong, and 2 when there is nothing to check.
    """
    from features.offline.named_cutoff import require_listed

    require_listed(home, as_of, now=_now())
    from serving.quality import FINDING_COLUMNS, check_features, finding_rows, quality_json, summary, write_json

    with progress_bar() as progress:
        report = check_features(home, as_of=as_of, now=_now(), progress=progress)
    if output == "json":
        emit_json(quality_json(report))
    elif output == "csv":
        emit(finding_rows(report), output, columns=FINDING_COLUMNS)
    else:
        emit_text(summary(report))
        if report.findings:
            say()
            emit(finding_rows(report))
        for part, section in report.sections:
            say(f"\n{part.title}")
            if section.note:
                emit_text(section.note)
            rows = section.rows if section.shown is None else section.shown
            if rows:
                emit(rows)
    if file is not None:
        write_json(report, file)
    if report.wrong:
        say(f"Wrong: {', '.join(report.wrong)}.", err=True)
        sys.exit(1)


@click.pass_context
def _promote(context: click.Context, /, **given: Any) -> None:
    context.invoke(training_cli.promote, **given)
    from serving.ledger.ledger import open_ledger

    open_ledger(context.obj).create()  # from now on a home without one has lost it


promote = click.Command(
    "promote",
    params=training_cli.promote.params,
    callback=_promote,
    help=training_cli.promote.help,
    epilog=training_cli.promote.epilog,
)


@click.pass_context
def _init_every_room(context: click.Context, /, **given: Any) -> None:
    context.invoke(features_cli.init, **given)
    from serving.ledger.ledger import open_ledger
    from training.registry.migrations import migrate

    migrate(context.obj)
    open_ledger(context.obj).create()


init = click.Command(
    "init",
    params=features_cli.init.params,
    callback=_init_every_room,
    help="Make the home and a commented settings file. A home has stores, secret key, model registry and score ledger.",
    epilog=features_cli.init.epilog,
)

# The audit needs labels and the report joins the rooms: both stand among the commands of the features.
features = click.Group(
    "features",
    commands={**features_cli.features.commands, "audit": training_cli.audit, "check": check},
    help=features_cli.features.help,
)

commands: list[click.Command] = [score, explain, nightly, doctor, serve, demo, promote, init, features]
for _command in (*features_cli.commands, *training_cli.commands, *commands):
    main.add_command(_command)


def _now() -> datetime:
    return datetime.now(UTC)
