"""``python -m training``: the commands of this room alone; ``bellwether`` has all."""

from pathlib import Path

import click

from features.command_line import CommandLine
from features.home.home import Home
from features.interrupts import answer_interrupts
from features.settings.load import load_settings
from features.start import start
from training.cli import commands

__all__: list[str] = []


@click.group(cls=CommandLine, commands={str(command.name): command for command in commands})
@click.option("--home", type=click.Path(path_type=Path), help="Folder of every store.  [default: var]")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.")
@click.pass_context
def training(context: click.Context, home: Path | None, config: Path | None) -> None:
    """Learn from features: labels, models, evaluation, registry."""
    start()
    context.obj = Home(load_settings(config, home=home))


if __name__ == "__main__":
    answer_interrupts()
    training(prog_name="python -m training")
