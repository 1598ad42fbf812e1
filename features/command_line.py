"""The way out of every command: one sentence on stderr, and the exit code of what happened."""

import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from features.console import say
from features.exceptions import BellwetherError
from features.interrupts import EXIT_CODE, STOPPED, is_answered, leave, was_interrupted

__all__ = ["CommandLine", "run_and_leave", "unforeseen"]


class CommandLine(click.Group):
    """A group of commands that leaves with the exit codes of Bellwether."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run the command line; always leaves by ``SystemExit``."""
        extra["standalone_mode"] = False
        run_and_leave(lambda: super(CommandLine, self).main(args=args, prog_name=prog_name or self.name, **extra))


def run_and_leave(work: Callable[[], object]) -> NoReturn:
    """Do the work of a command line, and leave by ``SystemExit`` with what it returned, or the code of its error."""
    try:
        sys.exit(work() or 0)  # type: ignore[arg-type] # what click hands on
    except (click.Abort, KeyboardInterrupt):
        _stopped()
    except BrokenPipeError:
        # The reader of a pipe went away, as `| head` does; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - nobody is left to handle it
        if was_interrupted():
            _stopped()
        sys.exit(_told(error))


def unforeseen(error: BaseException) -> str:
    """A sentence about an error that nobody expected, whose traceback is written to a file that it names."""
    reason = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        reason = f"{error.filename}: {error.strerror}"
    try:
        descriptor, name = tempfile.mkstemp(prefix="bellwether-error-", suffix=".txt")  # for its owner alone
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return f"It ended unexpectedly: {type(error).__name__}: {reason}. Run `bellwether doctor`."
    return (
        f"It ended unexpectedly: {type(error).__name__}: {reason}. Run `bellwether doctor`; if that finds nothing, "
        f"report what {Path(name)} says."
    )


def _stopped() -> NoReturn:
    if is_answered():
        leave()
    say(STOPPED, err=True)
    sys.exit(EXIT_CODE)


def _told(error: Exception) -> int:
    """Say what went wrong; the exit code of its kind."""
    if isinstance(error, click.ClickException):
        say(_shown(error), err=True)
        return error.exit_code
    if isinstance(error, BellwetherError):
        say(f"Error: {error}", err=True)
        return error.exit_code
    say(f"Error: {unforeseen(error)}", err=True)
    return 1


def _shown(error: click.ClickException) -> str:
    """What click would print; it takes colours out of it, and nothing else that moves a cursor."""
    page = io.StringIO()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        error.ctx.color = True
    error.show(file=page)
    return page.getvalue().expandtabs(2).rstrip()
