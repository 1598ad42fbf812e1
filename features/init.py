"""Makes a home: its stores, its secret key, and a settings file that explains itself."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from features.exceptions import InputError
from features.home.home import Home
from features.home.secret import home_key
from features.settings.template import configuration_text

__all__ = ["initialise", "write_configuration"]


def initialise(home: Home) -> list[str]:
    """Make the home's folders and secret key; returns what to tell the user. Running it again changes nothing.

    Raises
    ------
    InputError
        When the home cannot be written.
    SettingsError
        When its secret key is not the one its stores were written under.
    """
    known = home.secret_key.exists()
    home_key(home)
    try:
        for folder in home.folders:
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{home.root} cannot be written: {error.strerror}. Choose another folder with --home."
        ) from error
    key = home.secret_key
    return [
        f"Home: {home.root}",
        f"Secret key: {key} ({'kept' if known else 'new: put it into your backup'})",
    ]


def write_configuration(path: Path, *, now: datetime, sources: Sequence[str] = ()) -> list[str]:
    """Write a settings file with every setting commented out, and a first mapping for each of ``sources``.

    A source is a file, or ``TABLE=FILE`` where its columns do not say of which raw table it is. Each mapping is tried
    on the first rows of its file: three of them are shown as it reads them, and what it is unsure of. A file that is
    there is left as it is.

    Raises
    ------
    InputError
        When a source cannot be read or can be no raw table, or ``path`` cannot be written.
    """
    mapping, remarks = _mappings(sources, now=now) if sources else ("", [])
    if path.exists():
        lines = [f"Settings: {path} is there already and was left alone."]
        return [*lines, "The mapping to put into it:", "", mapping, *remarks] if mapping else lines
    try:
        path.write_text(configuration_text() + ("\n" + mapping if mapping else ""), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place with --write.") from error
    return [f"Settings: {path} (every line explains itself)", *(["", mapping, *remarks] if mapping else [])]


def _mappings(sources: Sequence[str], *, now: datetime) -> tuple[str, list[str]]:
    """Mappings that were tried on the first rows of their files, and what is to be said of them."""
    from features.ingest.trial import tried
    from features.sources.mapping.guess import callers_of, guess_of
    from features.sources.mapping.sources_given import recognised

    given = recognised(sources)
    texts, remarks = [], list[str]()
    callers: frozenset[str] = frozenset()
    for source in given:
        mapping, lines = tried(guess_of(source.looked, source.table, callers=callers), now=now)
        if source.table.name == "events":
            callers = callers_of(mapping)
        texts.append(mapping.text)
        remarks += [*([""] if remarks else []), *([source.title] if len(given) > 1 or source.signs else []), *lines]
    return "\n".join(texts), remarks
