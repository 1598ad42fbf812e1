"""The quality report of a cutoff: the parts of every room, in words for a person and as JSON for a program.

Of the libraries that validate data none is used. Pandera (0.25 and later) reads Ibis tables and comes nearest, but it
would take over nulls and ranges alone, one of the seven parts: our bounds and null rules stand in the catalogue, and
a schema made from it would be a second list of them. Great Expectations wants a context of its own and sends usage data
unless told not to. Evidently measures drift, but between two data sets, and the champion's bundle carries a baseline in
a few numbers rather than its rows. whylogs keeps such profiles, but fails under NumPy 2 (its issue 1600), as Deepchecks
did (its issue 2790), whose licence is the AGPL besides. None of them knows late events as we define them, our
quarantine or the rhythm of a source. Should the checks of values grow beyond what a feature's specification says,
pandera is the one to take.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.examination import Finding
from features.exceptions import InputError, counted
from features.home.home import Home
from features.progress import Progress, silent
from features.quality.parts import DATA_PARTS
from features.quality.section import Inspection, Part, Section, inspection_of, look_at
from training.watching.quality import MODEL_PARTS

__all__ = [
    "FINDING_COLUMNS",
    "PARTS",
    "QualityReport",
    "check_features",
    "finding_rows",
    "quality_json",
    "summary",
    "write_json",
]

PARTS: tuple[Part, ...] = (*DATA_PARTS, *MODEL_PARTS)


@dataclass(frozen=True)
class QualityReport:
    """Everything that was looked at, part by part."""

    inspection: Inspection
    sections: tuple[tuple[Part, Section], ...]

    @property
    def findings(self) -> list[tuple[str, Finding]]:
        """Part and finding, what is wrong before what is only a remark."""
        findings = [(part.name, finding) for part, section in self.sections for finding in section.findings]
        return sorted(findings, key=lambda pair: pair[1].is_remark)

    @property
    def wrong(self) -> list[str]:
        """The parts in which something is wrong, each once."""
        return list(dict.fromkeys(name for name, finding in self.findings if not finding.is_remark))


def check_features(
    home: Home, *, as_of: datetime | None = None, now: datetime, progress: Progress = silent
) -> QualityReport:
    """Look at the features of one cutoff and at the sources they come from; nothing is changed.

    Raises
    ------
    InputError
        When no features are built, or not those of the cutoff.
    """
    inspection = inspection_of(home, as_of=as_of, now=now)
    sections = []
    for done, part in enumerate(PARTS):
        progress("look at every part", done, len(PARTS))
        sections.append((part, look_at(part, inspection)))
    progress("look at every part", len(PARTS), len(PARTS))
    return QualityReport(inspection, tuple(sections))


def summary(report: QualityReport) -> str:
    """The first line: how much there is to look at."""
    cutoff = f"the features of {report.inspection.cutoff:%Y-%m-%d}"
    count, wrong = len(report.findings), sum(not finding.is_remark for _, finding in report.findings)
    if not count:
        return f"Nothing to look at in {cutoff}."
    which = f"{wrong} wrong ({', '.join(report.wrong)})" if wrong else "none of them wrong"
    return f"{counted(count, 'thing|things')} to look at in {cutoff}: {which}."


FINDING_COLUMNS = ("is", "part", "finding")
"""Of the rows of :func:`finding_rows`."""


def finding_rows(report: QualityReport) -> list[dict[str, Any]]:
    """One row per finding, for the terminal."""
    return [
        {"is": "remark" if finding.is_remark else "WRONG", "part": name, "finding": f"{finding.what} {finding.remedy}"}
        for name, finding in report.findings
    ]


def quality_json(report: QualityReport) -> dict[str, Any]:
    """The whole report for programs; times are ISO-8601 with offset."""
    return {
        "as_of": report.inspection.cutoff.isoformat(),
        "measured_at": report.inspection.measured_at.isoformat(),
        "summary": summary(report),
        "is_wrong": bool(report.wrong),
        "findings": [
            {"part": name, "is_remark": finding.is_remark, "what": finding.what, "remedy": finding.remedy}
            for name, finding in report.findings
        ],
        "parts": {
            part.name: {"title": part.title, "note": section.note, "rows": [dict(row) for row in section.rows]}
            for part, section in report.sections
        },
    }


def write_json(report: QualityReport, path: Path) -> None:
    """Write the report into a file.

    Raises
    ------
    InputError
        When it cannot be written.
    """
    text = json.dumps(quality_json(report), indent=2, ensure_ascii=False, default=str)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place for --json.") from error
