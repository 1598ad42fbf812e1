"""Accounts with several subscriptions: their ids are stored, and without ids what is made of them is told."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.build.build import build
from features.home.home import Home
from features.home.raw_tables import read_records
from features.ingest.ingest import ingest
from features.quality.matching import look_at_matching
from features.quality.section import inspection_of
from features.rollup.count import roll_up
from features.schema import SUBSCRIPTIONS
from features.settings.load import load_settings
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from serving.scoring.accounts import applicability

NOW = utc(2026, 12, 1)
C = utc(2026, 6, 29)
HEADER = "account_id,sub_id,occurred_at,kind,plan,mrr"
TWO = (
    "acme,1,2026-01-01T00:00:00Z,start,pro,100",
    "acme,2,2026-03-01T00:00:00Z,start,addon,20",
    "acme,2,2026-06-01T00:00:00Z,cancel,addon,20",
)
MOVED = (
    "moved,3,2026-01-01T00:00:00Z,start,legacy,100",
    "moved,4,2026-06-09T10:00:00Z,start,new,100",
    "moved,3,2026-06-09T10:00:05Z,cancel,legacy,100",
)
PLAIN = ("plain,5,2026-01-01T00:00:00Z,start,pro,100", "plain,5,2026-02-01T00:00:00Z,renew,pro,100")
MAPPED = {"subscriptions": {"columns": {"subscription_id": {"from": "sub_id"}}}}


def loaded(tmp_path, *lines, header=HEADER, **settings):
    """A home with these subscription events and a call of each account, and the report."""
    home = Home(load_settings(home=tmp_path / "home", threads=1, **settings))
    rows, calls = tmp_path / "subscriptions.csv", tmp_path / "events.csv"
    rows.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    accounts = sorted({line.split(",")[0] for line in lines})
    calls.write_text("account_id,event_time\n" + "".join(f"{name},2026-06-20T00:00:00Z\n" for name in accounts))
    return home, ingest(home, now=NOW, events=[calls], subscriptions=[rows], backfill=True)


def built(home):
    roll_up(home)
    build(home, [C], now=C + DAY, groups=["commercial"])
    (path,) = home.stores.features.files(f"commercial/cutoff={C.date()}", "commercial")
    rows = pq.read_table(path, partitioning=None).to_pylist()
    return {row["account_id"]: (row["plan"], row["mrr"], row["plan_changes_364d"]) for row in rows}


def test_what_is_made_of_rows_without_an_id_is_told_with_the_line_that_maps_one(tmp_path):
    _, report = loaded(tmp_path, *TWO, *MOVED, *PLAIN)
    second, kept = [note for note in report.notes if note.startswith("subscriptions: ") and "subscription_id" in note]
    assert "2 accounts have a start of another plan while one runs: acme, moved." in second
    assert '[sources.subscriptions.columns] subscription_id = { from = "sub_id" }' in second
    assert "2 accounts live on: acme, moved." in kept


def test_five_accounts_are_named_at_most(tmp_path):
    lines = [line.replace("acme", f"acme{number}") for number in range(7) for line in TWO[:2]]
    _, report = loaded(tmp_path, *lines)
    assert any("7 accounts have" in note and "acme4 and 2 more" in note for note in report.notes)


def test_with_ids_or_one_subscription_each_nothing_is_told(tmp_path):
    home, report = loaded(tmp_path, *TWO, *MOVED, sources=MAPPED)
    assert not [note for note in report.notes if "subscription_id" in note]
    assert sorted(read_records(home, SUBSCRIPTIONS)["subscription_id"].to_pylist()) == ["1", "2", "2", "3", "3", "4"]


def test_a_column_that_may_tell_them_apart_and_is_not_read_is_named(tmp_path):
    seats = ("seats,1,2026-01-01T00:00:00Z,start,pro,100", "seats,2,2026-03-01T00:00:00Z,start,pro,100")
    _, report = loaded(tmp_path, *seats)
    (note,) = [note for note in report.notes if "subscription_id" in note]
    assert note == (
        'subscriptions: Nothing reads the column "sub_id"; all rows of an account are taken for one subscription. '
        'If it tells several apart, map it: [sources.subscriptions.columns] subscription_id = { from = "sub_id" }.'
    )


def test_of_accounts_with_one_subscription_and_no_such_column_nothing_is_told(tmp_path):
    _, report = loaded(tmp_path, *PLAIN, header=HEADER.replace("sub_id", "note"))
    assert not [note for note in report.notes if "subscription_id" in note]


@pytest.mark.parametrize("sources", [{}, MAPPED])
def test_features_and_statuses_follow(tmp_path, sources):
    home, _ = loaded(tmp_path, *TWO, *MOVED, *PLAIN, sources=sources)
    assert built(home) == {"acme": ("pro", 100.0, 0), "moved": ("new", 100.0, 1), "plain": ("pro", 100.0, 0)}
    assert set(applicability(home, "churn", C).values()) == {"ok"}


def test_the_quality_report_names_them_as_known_at_its_cutoff(tmp_path):
    home, _ = loaded(tmp_path, *TWO, *PLAIN)
    roll_up(home)
    build(home, [C], now=C + DAY)
    section = look_at_matching(inspection_of(home, as_of=C, now=NOW))
    assert [finding.what.split(":")[0] for finding in section.findings] == [
        "1 account has a start of another plan while one runs",
        "A cancellation ended one of two subscriptions, or what was before a plan change, and 1 account lives on",
    ]
    assert all(finding.is_remark for finding in section.findings)


def test_the_same_rows_once_more_with_ids_are_no_other_subscriptions(tmp_path):
    home, _ = loaded(tmp_path, *TWO, *PLAIN)
    with_ids = Home(home.settings.model_copy(update={"sources": load_settings(home=home.root, sources=MAPPED).sources}))
    ingest(with_ids, now=NOW, subscriptions=[tmp_path / "subscriptions.csv"], backfill=True)
    assert built(with_ids) == {"acme": ("pro", 100.0, 0), "plain": ("pro", 100.0, 0)}


def test_a_home_of_before_without_the_column_is_read_and_added_to(tmp_path):
    home, _ = loaded(tmp_path, *TWO)
    expected = built(home)
    with ManifestStore(home.root / "raw").writer() as writer:
        old = writer.scratch / "old.parquet"
        pq.write_table(read_records(home, SUBSCRIPTIONS).drop_columns(["subscription_id"]), old)
        writer.replace("subscriptions", {"subscriptions": old})
    again = Home(home.settings)
    assert read_records(again, SUBSCRIPTIONS)["subscription_id"].type == pa.string()
    assert built(again) == expected
    assert set(applicability(again, "churn", C).values()) == {"ok"}
    more = tmp_path / "more.csv"
    more.write_text(f"{HEADER}\nacme,1,2026-06-02T00:00:00Z,renew,pro,110\n", encoding="utf-8")
    report = ingest(again, now=NOW, subscriptions=[more], backfill=True)
    assert report.table("subscriptions").rows_stored == 1
    assert built(again) == {"acme": ("pro", 110.0, 0)}
