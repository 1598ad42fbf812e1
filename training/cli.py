"""Commands of the training room: train, promote, and the audit that needs labels."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from features.choices import Version
from features.console import (
    emit,
    emit_document,
    emit_notes,
    emit_text,
    format_option,
    progress_bar,
    say,
    terminal_width,
)
from features.exceptions import GateRefusedError
from features.home.home import Home
from features.home.presence import pass_home
from training.labels.names import TARGET_NAMES

__all__ = ["audit", "backtest", "commands", "promote", "train"]


_TARGET = click.option(
    "--target",
    "target_name",
    metavar="T",
    type=click.Choice(TARGET_NAMES),
    help="What to foretell: churn, upsell or churn_inactivity.  "
    "[default: churn; without subscription events churn_inactivity]",
)


@click.command(
    epilog="""\b
Examples:
  bellwether train
  bellwether train --target upsell --format json
"""
)
@_TARGET
@click.option(
    "--truth",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True),
    metavar="FILE",
    help="The simulator's truth.parquet: shows how much of what can be known the model knows.",
)
@click.option("--verbose", is_flag=True, help="Say how it was made and every figure, too.")
@format_option
@pass_home
def train(home: Home, target_name: str | None, truth: Path | None, verbose: bool, output: str) -> None:  # noqa: FBT001
    """Train a model and register it as the challenger. It is judged beside simple rules.

    Leaves with 0 when the gate passes it or nothing is shown either way, and 4 when it is refused.
    """
    from features.offline.cutoffs import left_out
    from features.offline.default_cutoff import silence_told
    from training.flow import train as run
    from training.text import train_json, train_lines

    with progress_bar() as progress:
        report = run(home, target_name or _default(home), now=datetime.now(UTC), truth=truth, progress=progress)
    emit_notes([*left_out(home), *silence_told(home)])
    if output == "table":
        for line in train_lines(report, width=terminal_width(), verbose=verbose):
            emit_text(line)
    else:
        emit_document(train_json(report), output)
    sys.exit(GateRefusedError.exit_code if report.verdict.answer == "refused" else 0)


@click.command(
    epilog="""\b
Examples:
  bellwether promote
  bellwether promote --target upsell --expect-current 3
  bellwether promote --target churn --version 2
  bellwether promote --target upsell --unproven
  bellwether promote --target upsell --rule
"""
)
@_TARGET
@click.option(
    "--version", metavar="V", type=Version(), help="Version to promote, also to go back to.  [default: the challenger]"
)
@click.option(
    "--expect-current",
    metavar="V",
    type=Version(or_none=True),
    help="Refuse unless this version is the champion (`none`: nobody is).",
)
@click.option("--unproven", is_flag=True, help="Take it though it is not shown to be good enough; answers then say so.")
@click.option(
    "--rule",
    is_flag=True,
    help="Promote the best counting rule of the newest training; not in place of a model that passed.",
)
@format_option
@pass_home
def promote(
    home: Home,
    target_name: str | None,
    version: str | None,
    expect_current: str | None,
    unproven: bool,  # noqa: FBT001
    rule: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Make a model, or the best rule, the champion if the gate lets it."""
    from training.registry.recorded import require_candidate

    name = target_name or _default(home)
    require_candidate(home, name, version=version, expect_current=expect_current)
    from training.registry.promotion import promote as run
    from training.text import promote_lines

    report = run(home, name, version=version, expect_current=expect_current, unproven=unproven, rule=rule)
    if output == "table":
        for line in promote_lines(report):
            emit_text(line)
    else:
        emit_document(asdict(report), output)


_PARTS = ("months", "warning", "misses", "scores")
_MOST_MISSES = 10


@click.command(
    epilog="""\b
Examples:
  bellwether backtest
  bellwether backtest --target upsell
  bellwether backtest --part scores --format csv > out_of_time.csv
"""
)
@_TARGET
@click.option(
    "--version",
    metavar="V",
    type=Version(),
    help="Version to look back at.  [default: the champion, else the challenger]",
)
@click.option("--part", type=click.Choice(_PARTS), help="One table alone; scores: every out-of-time score.")
@format_option
@pass_home
def backtest(home: Home, target_name: str | None, version: str | None, part: str | None, output: str) -> None:
    """Look back at what a model foretold. It had not seen what then happened.

    Month by month, by days of warning, and by name whom it missed. The scores were made when the model was trained,
    each by a model of what was closed before; nothing is fitted again.
    """
    from training.registry.recorded import require_version

    target = target_name or _default(home)
    require_version(home, target, version)
    from training.judging.backtest import MISS_COLUMNS
    from training.text import backtest_parts
    from training.watching.backtesting import backtest as run

    with progress_bar() as progress:
        progress("Look back", 0, 1)
        past = run(home, target, version=version)
        progress("Look back", 1, 1)
    parts = backtest_parts(past)
    if part == "scores":
        dated = past.scores.assign(
            **{name: past.scores[name].dt.strftime("%Y-%m-%d") for name in ("cutoff", "fitted_until")}
        )
        emit([dict(zip(dated.columns, row, strict=True)) for row in dated.itertuples(index=False)], output)
    elif part is not None and output != "table":
        emit(parts[part][1], output, columns=MISS_COLUMNS if part == "misses" else ())
    elif output != "table":
        emit_document({name: rows for name, (_, rows) in parts.items()}, output)
    else:
        shown = {name: table for name, table in parts.items() if part in (None, name)}
        for place, (name, (title, rows)) in enumerate(shown.items()):
            if place:
                say()
            emit_text(title)
            few = rows[:_MOST_MISSES] if name == "misses" and part is None else rows
            if few:
                emit([{name.replace("_", " "): value for name, value in row.items()} for row in few])
            if len(few) < len(rows):
                emit_text("`bellwether backtest --part misses` names all of them.")


@click.command(
    epilog="""\b
Examples:
  bellwether features audit
  bellwether features audit --sample 5000 --seed 1
  bellwether features audit --format csv > findings.csv
"""
)
@click.option(
    "--sample",
    default=1000,
    show_default=True,
    metavar="N",
    type=click.IntRange(1),
    help="(account, cutoff) pairs to compare; they lie at five cutoffs, or at as many as hold them.",
)
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Same seed, same pairs.  [default: the setting seed]")
@click.option(
    "--target",
    "target_names",
    multiple=True,
    metavar="T",
    type=click.Choice(TARGET_NAMES),
    help="Whose labels to hold features against; may be repeated.  "
    "[default: churn and upsell; without subscription events churn_inactivity]",
)
@format_option
@pass_home
def audit(home: Home, sample: int, seed: int | None, target_names: tuple[str, ...], output: str) -> None:
    """Prove on a sample that features know no future. A row holds what was known at its cutoff.

    Rebuilds random rows from what was known at their cutoff alone, then with all that came later permuted between
    accounts, and compares them with what is stored and with what Feast gives to training. Compares online with offline
    values, and alarms on a single feature that tells a label with a ROC-AUC of 0.95 or more; when that is a date known
    beforehand, such as the end of a term, it is only a remark.

    Leaves with 0 when nothing was found and 1 when something was. It counts the log twice, in a scratch folder.
    """
    from training.watching.audit import audit as run
    from training.watching.audit_text import FINDING_COLUMNS, finding_rows, heading, sections, summary_rows

    with progress_bar() as progress:
        result = run(
            home,
            sample=sample,
            seed=home.settings.seed if seed is None else seed,
            target_names=target_names,
            progress=progress,
        )
    emit_notes(result.store.notes)
    if output == "table":
        emit_text(heading(result))
        emit(summary_rows(result))
        for title, rows in sections(result):
            say()
            emit_text(title)
            if rows:
                emit(rows)
    else:
        emit_notes([heading(result), *(f"{row['check']}: {row['found']} {row['of']}" for row in summary_rows(result))])
        emit(finding_rows(result), output, columns=FINDING_COLUMNS)
    sys.exit(0 if result.is_clean else 1)


def _default(home: Home) -> str:
    """The target of whoever names none."""
    from features.home.raw_tables import complete_until
    from training.labels.targets import default_target

    return default_target(has_subscriptions=complete_until(home, "subscriptions") is not None)


commands: list[click.Command] = [train, promote, backtest]
