"""``python -m features``: the commands of this room."""

from features.cli import main
from features.command_line import run_and_leave
from features.interrupts import answer_interrupts

__all__: list[str] = []

if __name__ == "__main__":
    answer_interrupts()
    run_and_leave(lambda: main.main(prog_name="python -m features", standalone_mode=False))
