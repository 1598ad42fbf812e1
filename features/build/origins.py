"""What the rows of a cutoff were counted from, kept beside them: so that a plan can say what has changed since.

The stamp of a feature partition holds the fingerprint of its origin; the file of that name says what it stands for.
Equal origins are one file, and a file never changes; one that does not fit its name is not believed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from features.fingerprint import digest
from features.rollup.months import event_days
from features.storage.store import Manifest

__all__ = ["Origin", "forget_others", "keep", "origin_of", "recalled"]


_SHORT = 16  # hexadecimal digits that tell two versions of one day apart


@dataclass(frozen=True)
class Origin:
    """Event days before a cutoff, each with the fingerprint of what it held; raw tables, of what the cutoff saw."""

    days: Mapping[str, str]
    tables: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The same for the same content."""
        return digest(asdict(self))


def origin_of(rollups: Manifest, records: Mapping[str, str], cutoff: datetime) -> Origin:
    """What the rows of a cutoff are counted from as things stand; ``records`` as :func:`records_seen.seen` says."""
    end = f"day={cutoff.date().isoformat()}"
    days = [day for day in event_days(rollups) if day < end]
    return Origin(
        {day.removeprefix("day="): (rollups.fingerprint(day) or "")[:_SHORT] for day in days},
        records,
    )


def keep(folder: Path, origin: Origin) -> str:
    """Write an origin down; returns its fingerprint.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    fingerprint = origin.fingerprint
    path = folder / f"{fingerprint}.json"
    if recalled(folder, fingerprint) is None:
        folder.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(origin), indent=1, sort_keys=True), encoding="utf-8")
    return fingerprint


def recalled(folder: Path, fingerprint: str) -> Origin | None:
    """The origin of this fingerprint; None when nobody can tell any more."""
    try:
        content = json.loads((folder / f"{fingerprint}.json").read_text(encoding="utf-8"))
        origin = Origin(content["days"], content["tables"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return origin if origin.fingerprint == fingerprint else None


def forget_others(folder: Path, wanted: set[str]) -> None:
    """Remove the origins no partition was made from."""
    for path in folder.glob("*.json"):
        if path.stem not in wanted:
            path.unlink(missing_ok=True)
