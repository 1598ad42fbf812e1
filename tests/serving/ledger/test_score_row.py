"""A field that is declared once is kept by the ledger, listed by the API, exported and printed."""

import csv
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.http_api.schemas import AccountSummary, account_summary
from serving.ledger.runs import ScoredAccount, ScoreRun, TargetRun
from serving.ledger.score_row import ScoreRow, column, columns, shown_on
from serving.ledger.tables import SCORES, score_columns
from serving.routine.export import export
from serving.routine.terminal import riskiest
from serving.scoring.accounts import Attributes
from serving.scoring.freshness import Status
from tests.serving.ledger.test_ledger import AS_OF

COLUMNS_OF_VERSION_2 = [
    *("account_id", "status", "detail", "probability", "band", "margin", "base_margin", "mrr", "mrr_at_risk", "offer"),
    *("name", "owner", "segment"),
]


@dataclass(frozen=True, slots=True)
class WiderAccount(ScoredAccount):
    """As if somebody had added a line to the row."""

    country: str | None = column(
        sa.Text(), default=None, since=3, api=9, export=9, terminal=9, description="Where it is."
    )


ACCOUNT = WiderAccount("a", Status.SCORED, None, 0.9, "high", mrr=10.0, mrr_at_risk=9.0, owner="sam", country="IS")


@pytest.fixture
def run() -> TargetRun:
    return TargetRun("key", "churn", AS_OF, AS_OF, "m", "1", "a", "f", 30, 7, (ACCOUNT,))


def test_another_field_is_a_column_of_the_ledger() -> None:
    columns = {entry.name: entry for entry in score_columns(WiderAccount)}
    assert list(columns) == [*(entry.name for entry in score_columns()), "country"]
    assert columns["country"].nullable


def test_another_field_is_in_the_list_and_its_schema() -> None:
    schema = account_summary(WiderAccount)
    assert list(schema.model_fields) == [*list(AccountSummary.model_fields)[:-1], "country", "reason"]
    assert schema.model_fields["country"].description == "Where it is."
    assert schema(**ACCOUNT.shown("api"), reason=None).model_dump()["country"] == "IS"


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_another_field_is_exported(run: TargetRun, tmp_path: Path, name: str) -> None:
    import pandas as pd

    export(ScoreRun(AS_OF, (run,)), tmp_path / name)
    read = pd.read_csv if name.endswith(".csv") else pd.read_parquet
    frame = read(tmp_path / name)
    assert list(frame.columns[:5]) == ["account_id", "name", "owner", "segment", "target"]
    assert list(frame.columns[12:15]) == ["offer", "country", "raises_1"]
    assert frame["country"].tolist() == ["IS"]


def test_another_field_is_printed(run: TargetRun) -> None:
    assert riskiest(run, limit=1) == [
        {
            "account_id": "a",
            "name": None,
            "owner": "sam",
            "target": "churn",
            "mrr": 10.0,
            "probability": 0.9,
            "band": "high",
            "mrr_at_risk": 9.0,
            "offer": None,
            "country": "IS",
            "top_reason": None,
        }
    ]


def test_the_ledger_has_a_column_for_each_field_and_the_run() -> None:
    assert [entry.name for entry in SCORES.c] == ["run_id", *(entry.name for entry in fields(ScoreRow))]
    assert {entry.name for entry in SCORES.c if not entry.nullable} == {"run_id", "account_id", "status"}


def test_csv_columns_keep_their_order(run: TargetRun, tmp_path: Path) -> None:
    plain = TargetRun(
        "key", "churn", AS_OF, AS_OF, "m", "1", "a", "f", 30, 7, (ScoredAccount("a", Status.SCORED, None),)
    )
    export(ScoreRun(AS_OF, (plain,)), tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert ",".join(header) == (
        "account_id,name,owner,segment,target,as_of,status,detail,probability,band,mrr,mrr_at_risk,offer,"
        "raises_1,raises_2,raises_3,lowers_1,lowers_2,lowers_3,model,version,rule"
    )


def test_who_an_account_is_stands_in_the_row_and_before_all_else() -> None:
    assert shown_on("export")[:4] == shown_on("api")[:4] == ("account_id", *Attributes._fields)


def test_the_columns_of_the_ledgers_there_are_stay_what_they_are():
    """Another field says the next version, or ledgers of today would lack its column."""
    assert [name for name, column in columns().items() if column.since <= 2] == COLUMNS_OF_VERSION_2
