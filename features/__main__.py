"""``python -m features``: the commands of this room."""

import sys

from features.cli import main
from features.console import say
from features.exceptions import BellwetherError

__all__: list[str] = []

if __name__ == "__main__":
    try:
        main(prog_name="python -m features")
    except BellwetherError as error:
        say(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
