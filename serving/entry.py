"""Where ``bellwether`` begins: before anything heavy is imported, so that it can be stopped while that takes."""

from features.interrupts import answer_interrupts, leave, was_interrupted

__all__ = ["main"]


def main() -> None:
    """Run the command line; leaves by ``SystemExit``."""
    try:
        answer_interrupts()
        from serving.cli import main as command_line

        command_line(prog_name="bellwether")
    except KeyboardInterrupt:
        leave()
    except Exception:
        if was_interrupted():  # in the middle of an import
            leave()
        raise
