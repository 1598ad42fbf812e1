"""``init --from`` once per table: what CRM and billing systems export is known, proposed, and read by ``ingest``."""

import tomllib

import pytest
from click.testing import CliRunner

from features.cli import main
from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError, SettingsError
from features.home.home import Home
from features.home.raw_tables import read_raw
from features.ingest.ingest import ingest
from features.init import write_configuration
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 12, 1)


def put(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def proposed(tmp_path, *sources):
    """What ``init`` writes for some sources: the mappings by table, and what it says."""
    target = tmp_path / "bellwether.toml"
    target.unlink(missing_ok=True)
    said = write_configuration(target, now=NOW, sources=[str(source) for source in sources])
    tables = tomllib.loads(target.read_text(encoding="utf-8"))["sources"]
    return tables, "\n".join(said)


def stored(tmp_path, table, *columns, **given):
    """What ``ingest`` makes of files by the settings that ``init`` wrote, and its report."""
    home = Home(load_settings(tmp_path / "bellwether.toml", home=tmp_path / "home"))
    report = ingest(home, now=NOW, backfill=True, **given)
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    rows = engine.to_arrow(read_raw(engine, home, table).order_by("account_id", "occurred_at").select(*columns))
    engine.close()
    return [tuple(row.values()) for row in rows.to_pylist()], report


STRIPE = (
    "id,Customer ID,Plan,Quantity,Currency,Interval,Amount,Status,Created (UTC),Start (UTC),"
    "Current Period End (UTC),Canceled At (UTC),Ended At (UTC)"
)
CHARGEBEE = (
    "subscriptions.id,customers.id,subscriptions.plan_id,subscriptions.mrr,subscriptions.started_at,"
    "subscriptions.current_term_end,subscriptions.cancelled_at"
)
STRIPE_ROWS = [
    "sub_1,cus_1,gold,1,usd,month,49.00,active,2025-01-02 10:00,2025-01-02 10:00,2026-12-02 10:00,,",
    "sub_2,cus_2,gold,1,usd,year,1200.00,canceled,2025-02-02 10:00,2025-02-02 10:00,2026-11-02 10:00,,2026-11-02 10:00",
]


def test_each_table_is_known_by_its_columns_tried_and_read_by_ingest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(
        tmp_path / "calls.csv",
        "customer,ts,path,status",
        *(f"cus_{n},179533593{n},/v1/a,200" for n in (1, 2)),
    )
    put(
        tmp_path / "crm.csv",
        "Record ID,Company name,Company owner,Create Date,Industry,Country/Region,Billing ID",
        "901,Acme Inc,Ann,2025-01-02 10:00,RETAIL,Germany,cus_1",
        "902,Beta GmbH,Bob,2025-02-03 11:00,BANKING,France,cus_2",
    )
    put(tmp_path / "stripe.csv", STRIPE, *STRIPE_ROWS)
    arguments = ["--home", "home", "init", "--from", "stripe.csv", "--from", "crm.csv", "--from", "calls.csv"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "calls.csv is taken for events, by endpoint, status." in result.output
    assert "crm.csv is taken for accounts, by name, segment, region, owner." in result.output
    assert "  row 2: account_id cus_2, name Beta GmbH, created_at 2025-02-03T11:00:00.000+00:00" in result.output
    assert "stripe.csv is taken for subscriptions, by plan, mrr, term_end, cancelled_at." in result.output
    assert "changes of plan are not in it; is it so?" in result.output
    tables = tomllib.loads((tmp_path / "bellwether.toml").read_text(encoding="utf-8"))["sources"]
    assert tables["accounts"]["columns"]["account_id"] == {"from": "Billing ID"}, "the ids that call, not the CRM's"
    columns = ("account_id", "kind", "occurred_at", "mrr", "plan")
    rows, report = stored(
        tmp_path, "subscriptions", *columns, subscriptions=["stripe.csv"], accounts=["crm.csv"], events=["calls.csv"]
    )
    assert rows == [
        ("cus_1", "start", utc(2025, 1, 2, 10), 49.0, "gold"),
        ("cus_2", "start", utc(2025, 2, 2, 10), 100.0, "gold"),
        ("cus_2", "cancel", utc(2026, 11, 2, 10), 100.0, "gold"),
    ]
    assert [(table.table, table.rows_stored, table.duplicates) for table in report.tables] == [
        ("events", 2, 0),
        ("accounts", 2, 0),
        ("subscriptions", 3, 0),
    ]
    assert any("1 row also says when its subscription ended" in note for note in report.notes)


@pytest.mark.parametrize(
    ("header", "row", "table", "expected"),
    [
        (
            "Id,Name,OwnerId,CreatedDate,Industry,BillingCountry",
            "001A,Acme,005B,2025-01-02T10:00:00.000Z,Retail,DE",
            "accounts",
            {
                "account_id": {"from": "Id"},
                "name": {"from": "Name"},
                "created_at": {"from": "CreatedDate"},
                "segment": {"from": "Industry"},
                "region": {"from": "BillingCountry"},
                "owner": {"from": "OwnerId"},
            },
        ),
        (
            CHARGEBEE,
            "s1,c1,pro,49.5,1735812000,1798884000,1798884000",
            "subscriptions",
            {
                "account_id": {"from": "customers.id"},
                "subscription_id": {"from": "subscriptions.id"},
                "occurred_at": {"from": "subscriptions.started_at", "unit": "s"},
                "kind": {"constant": "start"},
                "plan": {"from": "subscriptions.plan_id"},
                "mrr": {"from": "subscriptions.mrr"},
                "term_end": {"from": "subscriptions.current_term_end", "unit": "s"},
                "cancelled_at": {"from": "subscriptions.cancelled_at", "unit": "s"},
            },
        ),
        (
            "company,tier,monthly_price,limit,signup date,cancelled_at",
            "acme,gold,49.50,100000,2025-01-02,2026-01-02",
            "subscriptions",
            {
                "account_id": {"from": "company"},
                "occurred_at": {"from": "signup date", "time_zone": "UTC"},
                "kind": {"constant": "start"},
                "plan": {"from": "tier"},
                "mrr": {"from": "monthly_price"},
                "quota_calls_per_month": {"from": "limit"},
                "cancelled_at": {"from": "cancelled_at", "time_zone": "UTC"},
            },
        ),
        (
            "organization,created_at,type,score",
            "acme,2025-01-02T10:00:00Z,nps,9",
            "touchpoints",
            {"account_id": {"from": "organization"}, "occurred_at": {"from": "created_at"}, "kind": {"from": "type"}}
            | {"value": {"from": "score"}},
        ),
        (
            "ticket_id,organization,created_at,subject,priority",
            "1,acme,2025-01-02T10:00:00Z,Help,high",
            "touchpoints",
            {
                "account_id": {"from": "organization"},
                "occurred_at": {"from": "created_at"},
                "kind": {"constant": "ticket_opened"},
            },
        ),
    ],
)
def test_what_systems_export_is_proposed(tmp_path, header, row, table, expected):
    tables, said = proposed(tmp_path, put(tmp_path / "export.csv", header, row))
    assert {name: source["columns"] for name, source in tables.items()} == {table: expected}
    assert "Tried on " in said
    assert "  row 1: account_id " in said


def test_days_and_amounts_of_other_countries_are_proposed_as_they_are_written(tmp_path):
    file = put(
        tmp_path / "abo.csv",
        "Kunde;Tarif;Monatspreis;Vertragsbeginn;Vertragsende",
        "acme;Gold;1.299,50;31.12.2025;31.12.2026",
        "beta;Basis;49,90;01.02.2025;01.02.2027",
    )
    tables, said = proposed(tmp_path, file)
    assert tables["subscriptions"]["decimal"] == ","
    assert "occurred_at: as in 31.12.2025; the times say no zone; is it UTC?" in said
    rows, _ = stored(tmp_path, "subscriptions", "account_id", "occurred_at", "mrr", "term_end", subscriptions=[file])
    assert rows == [
        ("acme", utc(2025, 12, 31), 1299.5, utc(2026, 12, 31)),
        ("beta", utc(2025, 2, 1), 49.9, utc(2027, 2, 1)),
    ]


def test_a_day_that_may_be_a_month_is_left_to_its_reader(tmp_path):
    file = put(tmp_path / "subs.csv", "customer,plan,mrr,start_date,created_at", "a,p,1,01/02/2026,2026-01-02")
    tables, said = proposed(tmp_path, f"subscriptions={file}")
    assert "occurred_at" not in tables["subscriptions"]["columns"]
    assert "start_date may have the day or the month first" in said


def test_words_for_changes_are_mapped_and_unknown_ones_named(tmp_path):
    words = ["customer.subscription.created", "Upgraded", "subscription_cancelled", "paused"]
    lines = [f"a{n},{word},2026-01-0{n + 1}T00:00:00Z,gold,9.5" for n, word in enumerate(words)]
    file = put(tmp_path / "changes.csv", "customer_id,event_type,date,plan,amount", *lines)
    tables, said = proposed(tmp_path, file)
    assert "cancelled_at" not in tables["subscriptions"]["columns"]
    assert "kind: what do paused mean? Their rows go to quarantine" in said
    rows, report = stored(tmp_path, "subscriptions", "account_id", "kind", subscriptions=[file])
    assert rows == [("a0", "start"), ("a1", "upgrade"), ("a2", "cancel")]
    assert report.table("subscriptions").quarantined == {"kind_unknown": 1}


def test_a_table_of_changes_without_their_kind_is_no_table_of_starts(tmp_path):
    lines = [f"acme,{plan},2026-01-0{n + 1}T00:00:00Z,{n}.5" for n, plan in enumerate("abc")]
    tables, said = proposed(tmp_path, put(tmp_path / "s.csv", "customer_id,plan,date,mrr", *lines))
    assert "kind" not in tables["subscriptions"]["columns"]
    assert "several rows of a subscription, and no column says what happened in each" in said


def test_ends_that_nobody_dated_and_cents_and_currencies_are_asked_about(tmp_path):
    file = put(
        tmp_path / "s.csv",
        "id,customer,plan,amount,currency,status,created",
        "1,a,p,4900,usd,active,1735812000",
        "2,b,p,9900,eur,canceled,1735812000",
    )
    _, said = proposed(tmp_path, file)
    assert "some are canceled, and no column says since when: their end is not read?" in said
    assert "are they cents?" in said
    assert "currency has eur, usd, and nothing is converted; is that right?" in said


def test_the_end_of_a_term_is_no_cancellation(tmp_path):
    rows = ("001A,2025-01-01,2025-12-31,Activated", "001B,2025-02-01,2026-01-31,Expired")
    file = put(tmp_path / "contracts.csv", "AccountId,StartDate,EndDate,Status", *rows)
    tables, said = proposed(tmp_path, file)
    assert tables["subscriptions"]["columns"]["term_end"] == {"from": "EndDate", "time_zone": "UTC"}
    assert "cancelled_at" not in tables["subscriptions"]["columns"]
    assert "some are expired, and no column says since when" in said


def test_an_account_that_never_calls_is_asked_about(tmp_path):
    calls = put(tmp_path / "calls.csv", "customer,ts,path,status", "c1,1795335934,/a,200")
    accounts = put(tmp_path / "accounts.csv", "id,name,region", "901,Acme,DE")
    _, said = proposed(tmp_path, calls, accounts)
    assert "none of its first ids is among those of the calls; is it the same id?" in said


@pytest.mark.parametrize(
    ("sources", "text"),
    [
        (["odd.csv"], r"odd.csv looks like none of the tables events, accounts, .*: it has colour, size"),
        (
            ["crm.csv"],
            r"crm.csv may be accounts \(by .*\) or .*Say which: --from accounts=crm.csv or --from subscr.*; both",
        ),
        (["a.csv", "b.csv"], r"a.csv and b.csv are both taken for accounts, and a table has one mapping"),
        (["calls=a.csv"], r"--from calls=a.csv names the table calls. The tables are events, accounts"),
    ],
)
def test_a_file_that_may_be_none_or_several_tables_is_refused(tmp_path, monkeypatch, sources, text):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "odd.csv", "colour,size", "red,3")
    put(tmp_path / "crm.csv", "id,name,region,owner,plan,mrr,signup_date,customer", "1,A,DE,Ann,p,9.5,2026-01-02,a")
    for name in ("a.csv", "b.csv"):
        put(tmp_path / name, "id,name,region", "1,A,DE")
    with pytest.raises(InputError, match=text):
        write_configuration(tmp_path / "bellwether.toml", now=NOW, sources=sources)
    assert not (tmp_path / "bellwether.toml").exists()


def subscriptions_of(tmp_path, columns, *lines):
    file = put(tmp_path / "s.csv", *lines)
    columns = {"occurred_at": {"from": "start", "time_zone": "UTC"}, "kind": {"constant": "start"}} | columns
    home = Home(load_settings(home=tmp_path / "home", sources={"subscriptions": {"columns": columns}}))
    return ingest(home, now=NOW, subscriptions=[file], backfill=True).table("subscriptions")


def test_a_row_with_an_end_that_cannot_be_read_is_refused_and_told(tmp_path):
    columns = {"cancelled_at": {"from": "end"}}
    lines = (
        "account_id,start,end",
        "a,2026-01-01,soon",
        "b,2026-01-01,",
        "c,2026-01-01,2026-01-01",
        "d,2026-01-01,NULL",
    )
    report = subscriptions_of(tmp_path, columns, *lines)
    assert (report.rows_read, report.rows_stored, report.quarantined) == (5, 4, {"occurred_at_unreadable": 1})


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"cancelled_at": {"from": "end", "unit": "s"}}, "another unit or time zone than occurred_at"),
        ({"cancelled_at": {"from": "end"}, "kind": {"from": "end"}}, "a row a subscription, and kind is read from"),
        ({"cancelled_at": {"from": "gone"}}, "reads 'gone', which s.csv does not have"),
    ],
)
def test_an_end_that_does_not_fit_is_refused(tmp_path, columns, text):
    with pytest.raises(SettingsError, match=text):
        subscriptions_of(tmp_path, columns, "account_id,start,end", "a,2026-01-01,2026-02-01")


@pytest.mark.parametrize("nothing", ["unlimited", "-1", "NULL", "Infinity", "∞"])
def test_a_quota_that_is_mostly_without_a_limit_is_proposed_and_read(tmp_path, monkeypatch, nothing):
    monkeypatch.chdir(tmp_path)
    rows = (f"a{n},2026-06-0{n}T00:00:00Z,start,pro,{quota}" for n, quota in enumerate((nothing, nothing, 9000), 1))
    source = put(tmp_path / "s.csv", "account_id,occurred_at,kind,plan,api_quota", *rows)
    tables, _ = proposed(tmp_path, f"subscriptions={source}")
    assert tables["subscriptions"]["columns"]["quota_calls_per_month"] == {"from": "api_quota"}
    quotas, _ = stored(tmp_path, "subscriptions", "quota_calls_per_month", subscriptions=[str(source)])
    assert quotas == [(None,), (None,), (9000,)]
