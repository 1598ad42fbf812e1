"""Commands of the training room: train and promote."""

from datetime import UTC, datetime
from pathlib import Path

import click

from features.settings import Settings

__all__ = ["commands", "promote", "train"]

_TARGET = click.option(
    "--target",
    "target_name",
    metavar="T",
    help="What to foretell: churn, upsell or churn_inactivity.  "
    "[default: churn; without subscription events churn_inactivity]",
)


@click.command()
@_TARGET
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The simulator's truth.parquet: shows how much of what can be known the model knows.",
)
@click.pass_obj
def train(settings: Settings, target_name: str | None, truth: Path | None) -> None:
    """Train a model, judge it beside simple rules, and register it as the challenger.

    For example: bellwether train --target upsell
    """
    from features.built import left_out
    from features.console import emit_notes, progress_bar
    from training.flow import train as run
    from training.text import train_lines

    with progress_bar() as progress:
        report = run(settings, target_name or _default(settings), now=datetime.now(UTC), truth=truth, progress=progress)
    emit_notes(left_out(settings))
    for line in train_lines(report):
        click.echo(line)


@click.command()
@_TARGET
@click.option("--version", metavar="V", help="Version to promote, also to go back to.  [default: the challenger]")
@click.option("--expect-current", metavar="V", help="Refuse unless this version is the champion (`none`: nobody is).")
@click.pass_obj
def promote(settings: Settings, target_name: str | None, version: str | None, expect_current: str | None) -> None:
    """Make a model the champion, if the gate lets it.

    For example: bellwether promote --target upsell --expect-current 3
    """
    from training.registry import promote as run
    from training.text import promote_lines

    chosen = target_name or _default(settings)
    for line in promote_lines(run(settings, chosen, version=version, expect_current=expect_current)):
        click.echo(line)


def _default(settings: Settings) -> str:
    """The target of whoever names none."""
    from features.raw import complete_until
    from training.targets import default_target

    return default_target(has_subscriptions=complete_until(settings, "subscriptions") is not None)


commands: list[click.Command] = [train, promote]
