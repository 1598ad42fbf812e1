"""What one ingest did with the rows of each raw table, and what has to be said about the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from features.exceptions import WorkFailedError, counted
from features.ingest.loads import LeftOut
from features.ingest.reasons import reason_in_words

__all__ = ["IngestReport", "TableReport"]

_SEVERAL = 3  # rows; fewer may all be bad by chance


@dataclass(frozen=True)
class TableReport:
    """What became of one raw table's rows: each row read is new, a duplicate, or in quarantine.

    Attributes
    ----------
    rows_stored
        Rows that were not in the store before.
    duplicates
        Rows that say what another row says already.
    quarantined
        Reason to number of rows; ``conflict`` counts the versions that lost, wherever they lay.
    left_out
        What is told of values of rows that are not in quarantine, such as ``status_unreadable``, to how often.
    """

    table: str
    files: int
    rows_read: int
    rows_stored: int
    duplicates: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)

    @property
    def quarantined_total(self) -> int:
        """Rows that were refused."""
        return sum(self.quarantined.values())

    def row(self, *, for_people: bool) -> dict[str, str | int]:
        """The report as a row of a table; for programs with codes, and with what is told of values."""
        name = reason_in_words if for_people else str
        values = ", ".join(f"{mark} {told}" for mark, told in self.left_out.items())
        return {
            "table": self.table,
            "files": self.files,
            "rows read" if for_people else "rows_read": self.rows_read,
            "new": self.rows_stored,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined_total,
            "reasons": ", ".join(f"{name(reason)} {rows}" for reason, rows in self.quarantined.items()),
            **({} if for_people else {"left_out": values}),
        }


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did, with everything that has to be said about the data, once.

    Attributes
    ----------
    damaged
        Files of folders of which nothing could be read; the notes say why.
    """

    tables: tuple[TableReport, ...]
    notes: tuple[str, ...]
    days_touched: tuple[date, ...]
    events_total: int
    damaged: tuple[Path, ...] = ()

    def table(self, name: str) -> TableReport:
        """The report of one raw table; of nothing read where it was not given."""
        return next((report for report in self.tables if report.table == name), TableReport(name, 0, 0, 0, 0))

    @property
    def nothing_stored(self) -> dict[str, str]:
        """Why nothing is stored of a table of which every row, of several, went to quarantine; by table.

        Then not a row is wrong but the mapping.
        """
        sentences = {}
        for table in self.tables:
            refused = {reason: rows for reason, rows in table.quarantined.items() if reason != "conflict"}
            if table.rows_read >= _SEVERAL and sum(refused.values()) >= table.rows_read:
                reason, rows = max(refused.items(), key=lambda item: item[1])
                sentences[table.table] = (
                    f"None of the {table.rows_read:,} rows of {table.table} was stored: "
                    f"{counted(rows, 'row was|rows were')} refused: {reason_in_words(reason)}. See with "
                    "`bellwether ingest --dry-run` what the mapping makes of the files, mend it, and ingest again."
                )
        return sentences

    def require_good_rows(self) -> None:
        """Fail where nothing is stored of a table.

        Raises
        ------
        WorkFailedError
            Naming the most frequent reason.
        """
        for sentence in self.nothing_stored.values():
            raise WorkFailedError(sentence)
