"""Remembers by what the machines of stored events were named, so that no event is counted again under another name."""

from features.exceptions import SettingsError
from features.settings.fields import SourceSettings
from features.sources.mapping.declared import HOST
from features.storage.store import StoreWriter

__all__ = ["note_machines"]


_NOTE = "machines"


def note_machines(writer: StoreWriter, source: SourceSettings) -> None:
    """Add to what the writer of events will publish how machines are named, unless they are not named at all.

    Raises
    ------
    SettingsError
        When those of stored events were named otherwise: all of them would become events of other machines.
    """
    ways = []
    if HOST in source.columns:
        mapping = source.columns[HOST]
        ways.append(f"{HOST} = {mapping.expression or mapping.source or mapping.constant}")
    if source.distinct_files is not None:
        ways.append(f'distinct_files = "{source.distinct_files}"')
    named = " and ".join(ways)
    if not named:
        return
    before = writer.notes.setdefault(_NOTE, named)
    if before != named:
        raise SettingsError(
            f"The machines of stored events were named by {before}, and [sources.events] says {named}: what comes "
            "again would count twice. Keep the first, or ingest all files into a new home. Nothing was stored."
        )
