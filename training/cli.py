"""Commands of the training room: train and promote."""

from datetime import UTC, datetime
from pathlib import Path

import click

from features.settings import Settings

__all__ = ["commands", "promote", "train"]

_TARGET = click.option("--target", "target_name", default="churn", show_default=True, help="What to foretell.")


@click.command()
@_TARGET
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The simulator's truth.parquet: shows how much of what can be known the model knows.",
)
@click.pass_obj
def train(settings: Settings, target_name: str, truth: Path | None) -> None:
    """Train a model, judge it beside simple rules, and register it as the challenger."""
    from features.built import left_out
    from features.console import emit_notes, progress_bar
    from training.flow import train as run
    from training.text import train_lines

    with progress_bar() as progress:
        report = run(settings, target_name, now=datetime.now(UTC), truth=truth, progress=progress)
    emit_notes(left_out(settings))
    for line in train_lines(report):
        click.echo(line)


@click.command()
@_TARGET
@click.option("--version", metavar="V", help="Version to promote, also to go back to.  [default: the challenger]")
@click.option("--expect-current", metavar="V", help="Refuse unless this version is the champion (`none`: nobody is).")
@click.pass_obj
def promote(settings: Settings, target_name: str, version: str | None, expect_current: str | None) -> None:
    """Make a model the champion, if the gate lets it."""
    from training.registry import promote as run
    from training.text import promote_lines

    for line in promote_lines(run(settings, target_name, version=version, expect_current=expect_current)):
        click.echo(line)


commands: list[click.Command] = [train, promote]
