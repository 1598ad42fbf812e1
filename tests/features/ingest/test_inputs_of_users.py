"""Files as people have them: each is read to the values that one counts by hand, or refused, or told."""

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError
from features.home.home import Home
from features.home.raw_tables import read_events, read_raw
from features.ingest.ingest import ingest
from features.init import write_configuration
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 12, 1)
LAST = ("c", "/a", 499, 200.0)
MOMENT = utc(2026, 11, 22, 8, 25, 34)
NOTHING: dict[str, Any] = {}


@dataclass(frozen=True)
class Given:
    """A file, the mapping it is read by (None: what ``init`` proposes), and what is right."""

    name: str
    content: str | bytes
    rows: list[tuple[Any, ...]]
    columns: tuple[str, ...] = ("account_id", "endpoint", "status", "latency_ms")
    table: str = "events"
    mapping: dict[str, Any] | None = None
    refused: dict[str, int] = field(default_factory=dict)
    said: tuple[str, ...] = ()


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table_of(header: str, *rows: str) -> str:
    return "\n".join((header, *rows)) + "\n"


T = "2026-11-22T08:25:3"
SUBSCRIBED = ("account_id", "occurred_at", "plan", "mrr", "quota_calls_per_month")
GIVEN = {
    # what init proposes
    "envoy": Given(
        "envoy.jsonl",
        lines(
            *(
                {"start_time": f"{T}{n}.1Z", "method": "GET", "path": f"/v1/a?x={n}", "response_code": 200 * n}
                | {"duration": 12 + n, "request_id": f"r{n}", "x_account_id": "acme", "user_agent": "curl/8.1"}
                for n in range(2)
            )
        ),
        [("acme", "/v1/a", None, 12.0), ("acme", "/v1/a", 200, 13.0)],
        said=("status is null in 1 row that gave something else (out of range 1",),
    ),
    "load balancer of Google": Given(
        "gcp.json",
        json.dumps(
            [
                {
                    "insertId": f"i{n}",
                    "timestamp": f"{T}{n}.123456Z",
                    "receiveTimestamp": f"{T}{n}.9Z",
                    "httpRequest": {"requestMethod": "GET", "requestUrl": f"https://x.org/v1/a?k={n}", "status": 200}
                    | {"latency": f"0.0{n}25s", "userAgent": "curl/8.1"},
                    "resource": {"labels": {"project_id": "p1"}},
                    "jsonPayload": {"customer_id": "c1"},
                }
                for n in range(2)
            ],
            indent=1,
        ),
        [("c1", "/v1/a", 200, 2.5), ("c1", "/v1/a", 200, 12.5)],
        said=("latency_ms says its unit in gcp.json",),
    ),
    "gateway of AWS": Given(
        "apigw.jsonl",
        lines(
            *(
                {"requestId": f"q{n}", "requestTime": f"22/Nov/2026:08:25:3{n} +0000", "httpMethod": "GET"}
                | {"resourcePath": "/v1/a/{id}", "status": "200", "responseLatency": f"1{n}", "customerId": "c1"}
                for n in range(2)
            )
        ),
        [("c1", "/v1/a/{id}", 200, 10.0), ("c1", "/v1/a/{id}", 200, 11.0)],
    ),
    "export of Datadog": Given(
        "dd.csv",
        table_of(
            "Date,Host,Service,@http.method,@http.url_details.path,@http.status_code,@duration,@customer.id",
            *(f"{T}{n}.123Z,h1,api,GET,/v1/a,200,1{n}500000,c1" for n in range(2)),
        ),
        [("c1", "/v1/a", 200, 10.5), ("c1", "/v1/a", 200, 11.5)],
    ),
    "pandas with its index": Given(
        "p.csv",
        table_of(
            ",customer_id,timestamp,endpoint,status_code,response_time_ms",
            *(f"{n},{n + 1}.0,2026-11-22 08:25:3{n}+00:00,/v1/a,200.0,12.{n}" for n in range(2)),
        ),
        [("1", "/v1/a", 200, 12.0), ("2", "/v1/a", 200, 12.1)],
    ),
    # optional values
    "statuses with their words": Given(
        "s.csv",
        table_of(
            "customer_id,timestamp,path,status,latency_ms",
            *(
                f"c{n},{T}{n}Z,/a,{value}"
                for n, value in enumerate(
                    ("200 OK,12ms", "HTTP 404,1.2e1", "429 Too Many Requests,", "HTTP/1.1 503,-1", "2xx,<1", "500.0,-")
                )
            ),
        ),
        [(200, 12.0), (404, 12.0), (429, None), (503, None), (None, None), (500, None)],
        ("status", "latency_ms"),
        said=(
            "status is null in 1 row",
            "latency_ms is null in 2 rows that gave something else (unreadable 1, negative",
        ),
    ),
    "upstreams that were not reached": Given(
        "n.jsonl",
        lines(
            *(
                {"account": "c", "msec": f"179533593{n}.123", "uri": "/a", "status": status}
                | {"upstream_response_time": time}
                for n, (status, time) in enumerate(
                    [(200, "0.001"), (502, "-1"), (504, "60.001, 0.002"), (None, "-"), (499, "- : 0.2")]
                )
            )
        ),
        [("c", "/a", 200, 1.0), ("c", "/a", 502, None), ("c", "/a", 504, 60_003.0), ("c", "/a", None, None), LAST],
        said=("latency_ms is null in 1 row that gave something else (negative 1",),
    ),
    "days of accounts that cannot be read": Given(
        "acc.csv",
        table_of("id,name,created_at,region", f"1,A,{T}0Z,DE", "2,B,unknown,FR", "3,C,02.01.2025,US", "4,D,,IT"),
        [("1", utc(2026, 11, 22, 8, 25, 30)), ("2", None), ("3", None), ("4", None)],
        ("account_id", "created_at"),
        "accounts",
        mapping={"account_id": {"from": "id"}},
        said=("created_at is null in 2 rows",),
    ),
    # words for nothing
    "dump of MySQL": Given(
        "d.csv",
        table_of(
            "account_id\tevent_time\tendpoint\tstatus\tlatency_ms",
            f"a1\t{T}4Z\t/v1/a\t200\t\\N",
            f"\\N\t{T}5Z\t/v1/a\t500\t12",
            f"a2\t{T}6Z\t\\N\t\\N\t13",
        ),
        [("a1", "/v1/a", 200, None), ("a2", None, None, 13.0)],
        refused={"account_id_missing": 1},
    ),
    "Excel in German": Given(
        "k.csv",
        table_of("Kundennummer;Firma;Land", "K1;Acme;#NV", "K2;#NV;AT", "#NV;Leer;DE", "Gesamtergebnis;;", ";ohne;DE"),
        [("K1", "Acme", None), ("K2", None, "AT")],
        ("account_id", "name", "region"),
        "accounts",
        refused={"account_id_missing": 2, "line_of_totals": 1},
    ),
    "accounts of nobody": Given(
        "e.csv",
        table_of(
            "account_id,event_time,sdk",
            *(
                f"{word},{T}{n}Z,unknown"
                for n, word in enumerate(("acme", "unknown", "Anonymous", "(not set)", "n.a.", "<unknown>", "#N/D"))
            ),
        ),
        [("acme", "unknown")],
        ("account_id", "sdk"),
        refused={"account_id_missing": 6},
    ),
    # numbers of other countries
    "French": Given(
        "abo.csv",
        table_of(
            "Client;Offre;Montant;Date de début;Quota",
            "acme;Or;1\u202f299,50 €;31/12/2025;100\u00a0000",
            "beta;Base;49,90 €;01/02/2025;illimité",
        ),
        [("acme", utc(2025, 12, 31), "Or", 1299.5, 100_000), ("beta", utc(2025, 2, 1), "Base", 49.9, None)],
        SUBSCRIBED,
        "subscriptions",
    ),
    "Swiss": Given(
        "abo.csv",
        table_of(
            "Kunde;Tarif;Monatspreis;Start;Kontingent",
            "acme;Gold;CHF 1\u2019299.50;31.12.2025;1'000'000",
            "beta;Basis;CHF 49.-;01.02.2025;-1",
        ),
        [("acme", utc(2025, 12, 31), "Gold", 1299.5, 1_000_000), ("beta", utc(2025, 2, 1), "Basis", 49.0, None)],
        SUBSCRIBED,
        "subscriptions",
    ),
    "Indian": Given(
        "s.csv",
        table_of(
            "customer,plan,mrr,start_date,quota",
            'acme,gold,"1,29,950.00",22-Nov-2025,"10,00,000"',
            'beta,base,"4,999",01-Feb-2025,"50,000"',
        ),
        [("acme", utc(2025, 11, 22), "gold", 129_950.0, 1_000_000), ("beta", utc(2025, 2, 1), "base", 4999.0, 50_000)],
        SUBSCRIBED,
        "subscriptions",
    ),
    "German thousands and no decimals": Given(
        "s.csv",
        table_of(
            "account_id;occurred_at;kind;mrr;quota_calls_per_month",
            f"a;{T}0Z;start;49;100.000",
            f"b;{T}0Z;start;1.299;50.000",
        ),
        [(49.0, 100_000), (1299.0, 50_000)],
        ("mrr", "quota_calls_per_month"),
        "subscriptions",
        mapping=NOTHING,
        said=("decimal commas in quota_calls_per_month",),
    ),
    "points that were said to be thousands": Given(
        "e.csv",
        table_of("account_id;event_time;latency_ms", f"a;{T}0Z;1.299", f"b;{T}0Z;49"),
        [("a", 1299.0), ("b", 49.0)],
        ("account_id", "latency_ms"),
        mapping={"latency_ms": {"from": "latency_ms", "decimal": ","}},
    ),
    "amounts that may be thousands": Given(
        "s.csv",
        table_of("account_id;occurred_at;kind;mrr", f"a;{T}0Z;start;49", f"b;{T}0Z;start;1.299"),
        [(49.0,), (1.299,)],
        ("mrr",),
        "subscriptions",
        mapping=NOTHING,
        said=("mrr has amounts such as 1.299 in s.csv, read as 1.299 and not as 1299", 'decimal = ","'),
    ),
    "API of Chargebee": Given(
        "subs.json",
        json.dumps(
            {
                "list": [
                    {
                        "subscription": {"id": f"s{n}", "customer_id": f"c{n}", "plan_id": "pro", "mrr": 4900}
                        | {"started_at": 1735812000, "cancelled_at": None if n else 1767348000},
                        "customer": {"id": f"c{n}", "company": "Acme"},
                    }
                    for n in range(2)
                ]
            }
        ),
        [("c0", "start", 4900.0), ("c0", "cancel", 4900.0), ("c1", "start", 4900.0)],
        ("account_id", "kind", "mrr"),
        "subscriptions",
        said=("1 row also says when its subscription ended",),
    ),
    # times
    "epochs that a sheet has rounded": Given(
        "e.csv",
        table_of("customer,ts,path,status", "a,1.79533593E+12,/a,200", "b,1.795335934123e+12,/a,200"),
        [("b", MOMENT.replace(microsecond=123_000))],
        ("account_id", "event_time"),
        mapping={"account_id": {"from": "customer"}, "event_time": {"from": "ts", "unit": "ms"}},
        refused={"event_time_unreadable": 1},
    ),
    "seconds and milliseconds in one column": Given(
        "e.jsonl",
        lines(*({"customer": "a", "ts": ts, "path": "/a"} for ts in (1795335934, 1795335934123, 1795335935))),
        [(MOMENT,), (utc(2026, 11, 22, 8, 25, 35),)],
        ("event_time",),
        refused={"event_time_unreadable": 1},
    ),
    "clocks of many systems": Given(
        "e.csv",
        table_of(
            "account_id;event_time",
            *(
                f"a{n};{text}"
                for n, text in enumerate(
                    (
                        f"{T}4.123456789Z",
                        "2026-11-22 08:25:34,123 UTC",
                        "2026-11-22T13:55:34+0530",
                        "2026-11-22t08:25:34z",
                        "2026-11-22 08:25:34 CET",
                        "46348.35",
                    )
                )
            ),
        ),
        [
            (MOMENT,),
            (MOMENT,),
            (MOMENT.replace(microsecond=123_000),),
            (MOMENT.replace(microsecond=123_456),),
        ],
        ("event_time",),
        mapping=NOTHING,
        refused={"event_time_unreadable": 2},
        said=("an event_time that cannot be read",),
    ),
    # Excel and W3C
    "App Service of Azure": Given(
        "u_ex261122.log",
        "#Software: Microsoft Internet Information Services 8.0\r\n"
        "#Fields: date time s-sitename cs-method cs-uri-stem cs-username cs(User-Agent) sc-status time-taken\r\n"
        + "".join(f"2026-11-22 08:25:3{n} APP GET /v1/a acme python-requests/2.31 200 1{n}\r\n" for n in range(2)),
        [("acme", "/v1/a", 200, 10.0), ("acme", "/v1/a", 200, 11.0)],
    ),
    "ends of lines of two systems": Given(
        "mix.csv",
        b"account_id,event_time,status\r\na,2026-11-22T08:25:34Z,200\nb,2026-11-22T08:25:35Z,200\r\n"
        b"c,2026-11-22T08:25:36Z,500\r",
        [("a", 200), ("b", 200), ("c", 500)],
        ("account_id", "status"),
    ),
    "marks, spaces and UTF-16": Given(
        "u.csv",
        '\ufeffsep=;\r\n"Account ID";" Event Time ";"STATUS "\r\n"a\u00a0";"2026-11-22T08:25:34Z";"200"\r\n'.encode(
            "utf-16-le"
        ),
        [("a", 200)],
        ("account_id", "status"),
        said=("account_id was stripped of spaces or invisible characters around it in 1 row",),
    ),
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=list(GIVEN))
def test_a_file_is_read_as_one_counts_it_by_hand(tmp_path, given):
    file = tmp_path / given.name
    file.write_bytes(given.content if isinstance(given.content, bytes) else given.content.encode())
    configuration = tmp_path / "bellwether.toml"
    if given.mapping is None:
        write_configuration(configuration, now=NOW, sources=[str(file)])
        home = Home(load_settings(configuration, home=tmp_path / "home", threads=1))
    else:
        sources = {given.table: {"columns": given.mapping}}
        home = Home(load_settings(home=tmp_path / "home", threads=1, sources=sources))
    report = ingest(home, now=NOW, backfill=True, **{given.table: [file]})
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    stored = read_events(engine, home) if given.table == "events" else read_raw(engine, home, given.table)
    order = {"events": ("event_time", "account_id"), "subscriptions": ("account_id", "occurred_at")}
    rows = engine.to_arrow(stored.order_by(*order.get(given.table, ("account_id",))).select(*given.columns)).to_pylist()
    engine.close()
    assert [tuple(row.values()) for row in rows] == given.rows
    assert report.table(given.table).quarantined == given.refused
    notes = " ".join(report.notes)
    assert [said for said in given.said if said not in notes] == []


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def call(number: int) -> str:
    return f"account_id,event_time,event_id\na,2026-11-22T08:25:{number:02d}Z,e{number}\n"


FOLDERS = {
    "folders in folders": (
        {
            "2026/11/a.csv": call(1).encode(),
            "b.CSV": call(2).encode(),
            "c.csv.GZ": gzip.compress(call(3).encode()),
            "k.csv.bz2": bz2.compress(call(4).encode()),
            "two.csv.gz": gzip.compress(call(5).encode()) + gzip.compress(call(6).split("\n", 1)[1].encode()),
            ".hidden.csv": call(7).encode(),
            "_on_its_way.csv": call(8).encode(),
            "_SUCCESS": b"",
        },
        ["e1", "e2", "e3", "e4", "e5", "e6"],
        "2 files are not read, by name no data: .hidden.csv, _on_its_way.csv.",
    ),
    "archives": (
        {
            "h.zip": zipped({"in/h.csv": call(1)}),
            "mac.csv.zip": zipped({"__MACOSX/._j.csv": b"x", "j.csv": call(2)}),
            "several.zip": zipped({"i1.csv": call(3), "i2.csv": call(4)}),
            "outer.zip": zipped({"inner.zip": zipped({"a.csv": call(5)})}),
        },
        ["e1", "e2"],
        "2 files are not read, by name no data: outer.zip, several.zip.",
    ),
    "what no one reads": (
        {
            "a.csv": call(1).encode(),
            **dict.fromkeys(("d.txt", "part-00000", "e.tar.gz", "m.tsv", "q.xlsx"), call(9).encode()),
        },
        ["e1"],
        "5 files are not read, by name no data: d.txt, e.tar.gz, m.tsv, part-00000, q.xlsx.",
    ),
}


@pytest.mark.parametrize(("files", "events", "said"), FOLDERS.values(), ids=list(FOLDERS))
def test_a_folder_is_read_whole_or_what_is_not_is_named(tmp_path, files, events, said):
    folder = tmp_path / "logs"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    home = Home(load_settings(home=tmp_path / "home", threads=1))
    report = ingest(home, now=NOW, events=[folder], backfill=True)
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    assert sorted(engine.to_arrow(read_events(engine, home))["event_id"].to_pylist()) == events
    engine.close()
    unread = [note for note in report.notes if "not read, by" in note]
    assert unread == ([] if said is None else [f"events: {said}"])


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (
            "export.csv",
            "Usage report\n\naccount_id,event_time\na,2026-11-22T08:25:34Z\n",
            "looks like none of the tables",
        ),
        ("router.log", "2026-11-22T08:25:34+00:00 heroku[router]: at=info method=GET status=200\n", "no access log"),
        ("cr.csv", "account_id,event_time\ra,2026-11-22T08:25:34Z\r", "its first line is no header"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content.encode())
    with pytest.raises(InputError, match=text):
        write_configuration(tmp_path / "bellwether.toml", now=NOW, sources=[str(tmp_path / name)])
