"""Commands that start the service: on a home, or on the simulated company of the demonstration."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from features.console import emit_notes, emit_text, progress_bar, say
from features.home.home import Home
from features.home.presence import pass_home
from features.settings.fields import FILE_NAME

__all__ = ["config_file", "demo", "serve"]


@click.command(
    epilog="""\b
Examples:
  bellwether serve
  bellwether serve --port 8080 --workers 4
"""
)
@click.option("--host", metavar="ADDRESS", help="Address to bind; another than loopback needs keys.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to bind.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes.")
@pass_home
def serve(home: Home, host: str | None, port: int | None, workers: int | None) -> None:
    """Answer over HTTP until interrupted."""
    from serving.http_api.address import address
    from serving.launch import launch, serve_forever

    given = {"host": host, "port": port, "workers": workers}
    changed = home.settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    config = config_file(_given_config())
    launch(Home(changed), config=config, environment=os.environ)  # refused before anything else is said
    from serving.missing import what_is_missing

    emit_notes(what_is_missing(home))
    say(f"Serving on {address(changed)} (Ctrl-C stops).", err=True)
    sys.exit(serve_forever(Home(changed), config=config))


@click.command(
    epilog="""\b
Examples:
  bellwether demo
  bellwether --home try demo --accounts 400 --no-serve
"""
)
@click.option("--accounts", default=1000, show_default=True, type=click.IntRange(1), help="Accounts to simulate.")
@click.option("--days", default=300, show_default=True, type=click.IntRange(1), help="Days of history.")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Seed of the simulation.")
@click.option("--serve/--no-serve", "serve_after", default=True, show_default=True, help="Serve when done.")
@click.pass_obj
def demo(home: Home, accounts: int, days: int, seed: int, serve_after: bool) -> None:  # noqa: FBT001
    """Simulate a company and run everything on it. It begins with its log and ends with the service."""
    from serving.http_api.address import address
    from serving.launch import curl_line, launch, serve_forever

    config = config_file(_given_config())
    if serve_after:
        launch(home, config=config, environment=os.environ)  # refused before minutes of work
    from serving.demo import home_of_demo, run_demo

    if config is None:
        home = home_of_demo(home)
    with progress_bar() as progress:
        report = run_demo(home, accounts=accounts, days=days, seed=seed, now=datetime.now(UTC), progress=progress)
    for line in report.text.split("\n"):
        emit_text(line)
    if serve_after:
        say(f"\nServing on {address(home.settings)} (Ctrl-C stops). Try, from another terminal:\n")
        say(f"  {curl_line(home, report.riskiest_account)}\n")
        sys.stdout.flush()
        sys.exit(serve_forever(home, config=config))


def config_file(given: Path | None) -> Path | None:
    """The settings file: the flag, then ``BELLWETHER_CONFIG``, then ``bellwether.toml`` if it is there."""
    if given is not None:
        return given
    if named := os.environ.get("BELLWETHER_CONFIG"):
        return Path(named)
    default = Path(FILE_NAME)
    return default if default.is_file() else None


def _given_config() -> Path | None:
    context = click.get_current_context().find_root()
    return context.params.get("config")
