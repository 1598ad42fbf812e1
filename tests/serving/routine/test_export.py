"""What an export writes."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from serving.ledger.runs import ScoreRun
from serving.routine.export import export
from tests.serving.ledger.test_ledger import AS_OF, account, run


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" -2", "' -2"),
        ("\t=1", "'\t=1"),
        ("Acme = good", "Acme = good"),
        ('two\nlines, a "quote"', 'two\nlines, a "quote"'),
        ("Ac\rme", "Ac\rme"),
        ("\u202e🦆", "\u202e🦆"),
    ],
)
def test_a_name_is_no_formula_in_a_csv_file(tmp_path: Path, name: str, written: str) -> None:
    accounts = [replace(account("a", 0.9, 10.0), name=name, owner=name), account("b", 0.1, 1.0)]
    export(ScoreRun(AS_OF, (run(*accounts),)), tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["owner"]) for row in rows] == [(written, written), ("", "")]
