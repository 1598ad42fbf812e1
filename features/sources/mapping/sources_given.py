"""Reads what ``init --from`` is given: one file for each raw table, the table named or known by its columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.exceptions import InputError
from features.schema import EVENTS, RAW_TABLES, RawTable
from features.sources.mapping.guess import Looked, look_at
from features.sources.mapping.which_table import which_table

__all__ = ["GivenSource", "recognised"]


@dataclass(frozen=True)
class GivenSource:
    """A file and the raw table it is of; ``signs`` are the columns it was known by, none where it was named."""

    looked: Looked
    table: RawTable
    signs: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the file was taken for, and why."""
        why = f", by {', '.join(self.signs)}" if self.signs else ""
        return f"{self.looked.files.paths[0].name} is taken for {self.table.name}{why}."


def recognised(sources: Sequence[str]) -> list[GivenSource]:
    """The files with their raw tables, calls first; each source is a file, or ``TABLE=FILE``.

    Raises
    ------
    InputError
        When a file cannot be read, can be no raw table or several, or when two are of one table.
    """
    given: dict[str, GivenSource] = {}
    for source in sources:
        name, mark, path = source.partition("=")
        is_named = bool(mark) and not Path(source).expanduser().exists()
        if is_named and name not in RAW_TABLES:
            raise InputError(f"--from {source} names the table {name}. The tables are {', '.join(RAW_TABLES)}.")
        looked = look_at(Path(path if is_named else source))
        table, signs = (RAW_TABLES[name], ()) if is_named else which_table(looked)
        if table.name in given:
            other = given[table.name].looked.files.paths[0].name
            raise InputError(
                f"{other} and {looked.files.paths[0].name} are both taken for {table.name}, and a table has one "
                f"mapping. Give one of them, or name the tables: --from accounts={looked.files.paths[0].name}."
            )
        given[table.name] = GivenSource(looked, table, signs)
    return sorted(given.values(), key=lambda source: source.table is not EVENTS)
