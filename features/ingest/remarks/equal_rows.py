"""Tells of rows that are equal to others and count once, and of what would keep them apart."""

from features.exceptions import counted
from features.ingest.collapsed import Collapsed, Place
from features.ingest.open_ends import Ended
from features.ingest.staged import Staged

__all__ = ["collapsed_notes", "open_end_notes"]


def collapsed_notes(collapsed: Collapsed, staged: Staged) -> list[str]:
    """A sentence about rows equal to another of their file, and one about those equal to rows of elsewhere."""
    notes = []
    if collapsed.of_one_file:
        rows = counted(collapsed.of_one_file, "row is|rows are")
        places = " and ".join(f"{staged.paths[file].name} {row}" for file, row in collapsed.of_one_file_places)
        lines = ' Where a server wrote a line for each call, also format = "json" under [sources.events] does.'
        is_json = any(".json" in path.name or ".ndjson" in path.name for path in staged.paths)
        notes.append(
            f"events: {rows} equal in every column to another row of their file and count once: {places}. Where each "
            "is a call of its own, map what tells them apart to event_id or host under [sources.events.columns]."
            f"{lines if is_json else ''}"
        )
    if collapsed.of_several:
        rows = counted(collapsed.of_several, "row is|rows are")
        first, second = (*(_named(place, staged) for place in collapsed.of_several_places), "a stored one")[:2]
        remedy = (
            ' Where they are calls of different machines, set distinct_files = "host" under [sources.events], or map a '
            "column to host, and ingest again."
        )
        notes.append(
            f"events: {rows} equal to rows of other files, or to stored ones, and count once, as in files that grew, "
            f"were rotated or exported again: {first} and {second}.{'' if staged.has_machines else remedy}"
        )
    return notes


def open_end_notes(ended: Ended) -> list[str]:
    """Sentences about rows whose line was only a part of what it became, taken for whole or refused."""
    notes = []
    if ended.events:
        nouns = "row, the last of a file when it was read, has|rows, the last of their files when read, have"
        notes.append(f"events: {counted(len(ended.events), nouns)} grown since: the whole line takes its place.")
    if ended.refused:
        nouns = "line, the last of a file when it was read, is|lines, the last of their files when read, are"
        notes.append(f"events: {counted(len(ended.refused), nouns)} whole now, and no longer in quarantine.")
    return notes


def _named(place: Place, staged: Staged) -> str:
    file, row = place
    return f"{'/'.join(staged.paths[file].parts[-2:])} {row}"
