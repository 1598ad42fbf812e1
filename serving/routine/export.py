"""Writes a score run to a CSV or Parquet file: a row per account and target, with what raises and lowers its score."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from features.console import CsvLines
from features.exceptions import InputError
from serving.ledger.runs import ScoredAccount, ScoreRun, TargetRun
from serving.scoring.accounts import Attributes

__all__ = ["REASON_COLUMNS", "export"]


REASON_COLUMNS = 3
"""For each direction."""

_NAMES = Attributes._fields
_WHO = ("account_id", *_NAMES)
_FORMULA = re.compile(r"\s*[=+@-]|[\t\r\n]")


def export(run: ScoreRun, path: Path) -> None:
    """Write every row of the run to a CSV or Parquet file: the reasons that raise the score, then those that lower it.

    Raises
    ------
    InputError
        When its ending is neither, or it cannot be written.
    """
    if path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path} ends in neither .csv nor .parquet. Name it so that the format is clear.")
    frame = pd.DataFrame([_exported(part, account) for part in run.targets for account in part.accounts])
    try:
        if path.suffix == ".csv":
            harmless = frame.assign(**{name: frame[name].map(_harmless) for name in _NAMES})
            with path.open("w", encoding="utf-8", newline="") as file:
                harmless.to_csv(CsvLines(file), index=False, lineterminator="\r\n")  # type: ignore[call-overload] # it only writes
        else:
            frame.to_parquet(path, index=False)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place for --out.") from error


def _harmless(value: object) -> object:
    """A name that a spreadsheet would run as a formula, as the text it is (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _exported(part: TargetRun, account: ScoredAccount) -> dict[str, Any]:
    row = {**account.shown("export"), "status": str(account.status)}
    return {
        **{name: row.pop(name) for name in _WHO},
        "target": part.target,
        "as_of": part.as_of,
        **row,
        **_texts(account, "raises"),
        **_texts(account, "lowers"),
        "model": part.model,
        "version": part.version,
        "rule": part.rule,
    }


def _texts(account: ScoredAccount, direction: str) -> dict[str, str | None]:
    """``raises_1``, ``raises_2``, …: the largest first, null where there are no more."""
    texts: list[str | None] = [reason.text for reason in account.reasons if reason.direction == direction]
    texts += [None] * REASON_COLUMNS
    return {f"{direction}_{rank}": texts[rank - 1] for rank in range(1, REASON_COLUMNS + 1)}
