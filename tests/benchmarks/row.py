"""One line of the table: what was measured, the bar, and whether it held."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """A claim of the design with its measurement; ``held`` is None where there is no bar."""

    name: str
    measured: str
    bar: str
    held: bool | None
    figures: dict[str, Any] = field(default_factory=dict)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    words = {True: "yes", False: "NO", None: "-"}
    cells = [("what", "measured", "bar", "held"), *((r.name, r.measured, r.bar, words[r.held]) for r in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(4)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def write_json(rows: Sequence[Row], path: Path, **about: Any) -> None:
    """Every row with all its figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    content = {**machine, **about, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
