"""History that is delivered late changes no row that was built: each holds what was known at its cutoff."""

import random
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.build.build import build
from features.external.take import take_tables
from features.home.home import Home
from features.ingest.ingest import ingest
from features.offline.files import group_at
from features.rollup.count import roll_up
from features.schema import RAW_TABLES
from features.settings.load import load_settings
from features.windows import DAY, utc

C = utc(2026, 6, 29)
CUTOFFS = [C - 21 * DAY, C]
LATE = C + 2 * DAY  # the clock of the delivery
HEADERS = {
    "events": "account_id,event_time,endpoint,method,status,latency_ms,token,user_id,sdk,sdk_version",
    "accounts": "account_id,created_at,name",
    "subscriptions": "account_id,occurred_at,kind,plan,mrr,quota_calls_per_month,term_end",
    "touchpoints": "account_id,occurred_at,kind,value",
}
ACCOUNTS = ["a", "b", "c", "d", "e"]


KINDS = ["start", "renew", "upgrade", "downgrade", "cancel_notice", "cancel", "reactivate"]
CONTACTS = ["ticket_opened", "ticket_closed", "nps", "csat", "login", "payment_failed"]


def row_of(table, dice, moment, accounts):
    """A row of a table of some account, with anything it may hold."""
    account, time, later = dice.choice(accounts), moment.isoformat(), (C + dice.randrange(-90, 90) * DAY).isoformat()
    parts = {
        "events": (
            account,
            time,
            dice.choice(["/a", "/b", "/c"]),
            dice.choice(["GET", "POST"]),
            dice.choice([200, 200, 404, 401, 429, 500, ""]),
            dice.choice([0, 12, 1500, ""]),
            dice.choice(["t1", "t2", ""]),
            dice.choice(["u1", "u2", ""]),
            dice.choice(["go", "java"]),
            f"1.{dice.randrange(9)}",
        ),
        "accounts": (account, time, dice.choice(["Acme", "Bolt"])),
        "subscriptions": (
            account,
            time,
            dice.choice(KINDS),
            dice.choice(["free", "pro", "team"]),
            dice.choice([10, 20, 99]),
            dice.choice([500, 900, ""]),
            later,
        ),
        "touchpoints": (account, time, dice.choice(CONTACTS), dice.randrange(10)),
    }
    return ",".join(map(str, parts[table]))


def delivered(home, folder, rows, *, now, backfill):
    """Take in rows of every raw table, and numbers that somebody else made, which always say when they were known."""
    folder.mkdir()
    files = {table: folder / f"{table}.csv" for table in HEADERS}
    for table, path in files.items():
        path.write_text("\n".join([HEADERS[table], *rows[table]]) + "\n")
    ingest(home, now=now, backfill=backfill, **{table: [path] for table, path in files.items()})
    time = pa.timestamp("us", tz="UTC")
    accounts, moments, numbers = zip(*rows["tables"], strict=True)
    known = pa.array([moment if backfill else now for moment in moments], time)
    columns = {"account_id": pa.array(accounts), "event_timestamp": pa.array(moments, time), "known_at": known}
    (home.root / "health").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns | {"nps": pa.array(numbers, pa.float64())}), home.root / "health" / folder.name)
    take_tables(home, now=now)


def some_rows(dice, count, *, days, accounts=ACCOUNTS):
    """Rows of every table, whose moments lie up to so many days before the newest cutoff."""
    first = C - days * DAY
    rows = {
        table: [row_of(table, dice, first + dice.uniform(0, days) * DAY, accounts) for _ in range(count)]
        for table in HEADERS
    }
    tables = [(dice.choice(accounts), first + dice.uniform(0, days) * DAY, dice.random()) for _ in range(count)]
    return rows | {"tables": tables}


def built(home, cutoffs):
    """Every feature of every group at these cutoffs."""
    roll_up(home)
    build(home, cutoffs, now=LATE + 9 * DAY)
    groups = home.catalog.described_groups
    return {
        (group, cutoff): group_at(home.stores.features, group, cutoff, home.catalog).to_pandas()
        for group in groups
        for cutoff in cutoffs
    }


def test_history_delivered_late_changes_no_row_that_was_built(tmp_path):
    declared = {
        "metrics": {"failures": {"of": "share", "where": "status >= 500", "windows": ["7d", "28d"]}},
        "tables": {"health": {"path": "health/*", "max_age": "90d", "columns": {"nps": {}}}},
    }
    home = Home(load_settings(home=tmp_path / "home", threads=1, value_endpoints=("POST /a",), **declared))
    assert {*HEADERS} == {*RAW_TABLES}
    dice = random.Random(1)
    delivered(home, tmp_path / "first", some_rows(dice, 120, days=200), now=C + timedelta(hours=12), backfill=True)
    before = built(home, CUTOFFS)
    late = some_rows(dice, 40, days=500, accounts=[*ACCOUNTS, "new"])
    delivered(home, tmp_path / "late", late, now=LATE, backfill=False)
    after = built(home, [*CUTOFFS, C + 7 * DAY])
    for (group, cutoff), rows in before.items():
        pd.testing.assert_frame_equal(rows, after[group, cutoff], obj=f"{group} at {cutoff:%Y-%m-%d}")
    newest = {group: rows for (group, cutoff), rows in after.items() if cutoff > C}
    assert all("new" in set(rows["account_id"]) for rows in newest.values())
    assert set(newest) == {group for group, _ in before}
