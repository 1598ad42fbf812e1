import gzip
import zlib
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.sources.access_logs.format import log_format
from features.sources.access_logs.line import LineParser
from features.sources.access_logs.reader import read_access_log
from features.sources.access_logs.table import TableParser

API = (
    '$remote_addr - $remote_user [$time_local] "$request" $status "$http_user_agent" $request_time "$http_x_account_id"'
)
LINE = '10.0.0.7 - - [22/Nov/2026:09:25:34 +0100] "GET /v1/orders/5?key=k%201&x=2 HTTP/1.1" 200 "curl/8" 0.012 "acme"'
NOON = datetime(2026, 11, 22, 8, 25, 34, tzinfo=UTC)


def read(path, columns, text=API, **more):
    parts = list(read_access_log(path, columns, log_format(text), **more))
    rows = [
        (number, *row.values())
        for part in parts
        for number, row in zip(part.numbers.tolist(), part.table.to_pylist(), strict=True)
    ]
    return sorted(rows, key=lambda row: row[0]), [fault for part in parts for fault in part.faults]


def put(path, *lines, end="\n"):
    content = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + end.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_a_line_becomes_columns(tmp_path):
    columns = ["time_local", "request_method", "uri", "server_protocol", "status", "request_time", "http_x_account_id"]
    rows, faults = read(put(tmp_path / "a.log", LINE), [*columns, "remote_user", "arg_key", "arg_none"])
    row = (1, NOON, "GET", "/v1/orders/5", "HTTP/1.1", "200", "0.012", "acme", None, "k 1", None)
    assert (rows, faults) == ([row], [])


@pytest.mark.parametrize(
    ("changed", "got"),
    [
        ({"/v1/orders/5?key=k%201&x=2": "/a?KEY=1&key=2"}, ("GET", "/a", "curl/8", "1")),
        ({"/v1/orders/5?key=k%201&x=2": "/a?x=1?key=2&xkey=3"}, ("GET", "/a", "curl/8", None)),
        ({"/v1/orders/5?key=k%201&x=2": "/a?"}, ("GET", "/a", "curl/8", None)),
        ({"/v1/orders/5?key=k%201&x=2": "/a b"}, ("GET", "/a b", "curl/8", None)),
        ({"GET /v1/orders/5?key=k%201&x=2 HTTP/1.1": "GET /a?key=1"}, ("GET", "/a", "curl/8", "1")),
        ({"GET /v1/orders/5?key=k%201&x=2 HTTP/1.1": ""}, (None, None, "curl/8", None)),
        ({"GET /v1/orders/5?key=k%201&x=2 HTTP/1.1": "-"}, (None, None, "curl/8", None)),
        ({"GET /v1/orders/5?key=k%201&x=2 HTTP/1.1": r"\x16\x03\x01 /x HTTP/y"}, (None, None, "curl/8", None)),
        ({"curl/8": r"a \x22b\x22 \x5C \xC3\xA9"}, ("GET", "/v1/orders/5", 'a "b" \\ é', "k 1")),
        ({"curl/8": r"a \"b\" \\ \xff"}, ("GET", "/v1/orders/5", 'a "b" \\ \\xff', "k 1")),
        ({"curl/8": ""}, ("GET", "/v1/orders/5", "", "k 1")),
        ({"curl/8": "-"}, ("GET", "/v1/orders/5", None, "k 1")),
        ({" - - [": " - ada lovelace ["}, ("GET", "/v1/orders/5", "curl/8", "k 1")),
        ({'"acme"': '"acme"\r'}, ("GET", "/v1/orders/5", "curl/8", "k 1")),
    ],
)
def test_whatever_a_client_sends_is_one_row(tmp_path, changed, got):
    line = LINE
    for old, new in changed.items():
        assert old in line
        line = line.replace(old, new)
    rows, faults = read(
        put(tmp_path / "a.log", LINE, line, LINE), ["request_method", "uri", "http_user_agent", "arg_key"]
    )
    plain = ("GET", "/v1/orders/5", "curl/8", "k 1")
    assert (rows, faults) == ([(1, *plain), (2, *got), (3, *plain)], [])


@pytest.mark.parametrize(
    ("line", "reason", "what"),
    [
        ("nonsense", "line_unreadable", "departs from the format behind remote_addr"),
        (LINE.replace("22/Nov", "31/Feb"), "line_unreadable", "there is no time where the format has one"),
        (LINE.replace("22/Nov", "sunday"), "line_unreadable", "there is no time where the format has one"),
        (LINE + " more", "line_unreadable", "it goes on behind the format's end"),
        (LINE.replace('"acme"', '"acme'), "line_unreadable", "departs from the format behind http_x_account_id"),
        (LINE.replace(" - -", " x -"), "line_unreadable", "it departs from the format behind "),
        (LINE.encode().replace(b"acme", b"caf\xe9"), "line_not_utf8", "bytes that are not UTF-8"),
    ],
)
def test_a_line_of_another_shape_is_a_fault_with_its_number(tmp_path, line, reason, what):
    rows, faults = read(put(tmp_path / "a.log", LINE, line, "", LINE), ["status"])
    assert rows == [(1, "200"), (4, "200")]
    assert [(fault.line, fault.reason) for fault in faults] == [(2, reason)]
    assert what in faults[0].what
    assert "acme" not in faults[0].what


@pytest.mark.parametrize("cut", [LINE, LINE[:-3], LINE[:50]])
def test_a_last_line_without_an_end_is_not_taken_for_a_whole_one(tmp_path, cut):
    rows, faults = read(put(tmp_path / "a.log", LINE, cut, end=""), ["status"])
    assert rows == [(1, "200")]
    assert [(fault.line, fault.reason) for fault in faults] == [(2, "file_cut_short")]


def test_of_a_packed_log_cut_short_the_whole_lines_are_read(tmp_path):
    path = put(tmp_path / "a.log.gz", *[LINE.replace("orders/5", f"orders/{n * 7919}") for n in range(3000)])
    path.write_bytes(path.read_bytes()[:-2000])
    rows, faults = read(path, ["status"])
    assert 0 < len(rows) < 3000
    assert [(fault.line, fault.reason) for fault in faults] == [(len(rows) + 1, "file_cut_short")]


def test_a_packed_log_cut_at_the_end_of_a_line_says_so(tmp_path):
    path = tmp_path / "a.log.gz"
    packing = zlib.compressobj(wbits=31)
    path.write_bytes(packing.compress(f"{LINE}\n{LINE}\n".encode()) + packing.flush(zlib.Z_SYNC_FLUSH))
    rows, faults = read(path, ["status"])
    assert rows == [(1, "200"), (2, "200")]
    assert [(fault.line, fault.reason) for fault in faults] == [(3, "file_cut_short")]


@pytest.mark.parametrize(
    ("word", "method"),
    [("PROPFIND", "PROPFIND"), ("VERSION-CONTROL", "VERSION-CONTROL"), ("get", "get"), ("AKIASECRETKEYabcdefgh", None)],
)
def test_only_a_method_of_http_is_one(tmp_path, word, method):
    path = put(tmp_path / "a.log", LINE.replace('"GET', f'"{word}'))
    assert read(path, ["request_method", "uri"])[0] == [(1, method, "/v1/orders/5")]
    path = put(tmp_path / "b.log", f"{NOON:%d/%b/%Y:%H:%M:%S +0000} {word} /a")
    assert read(path, ["request_method"], "$time_local $request_method $uri")[0] == [(1, method)]


@pytest.mark.parametrize("block_bytes", [1, 300, 8 << 20])
def test_identical_lines_are_counted_through_a_file(tmp_path, block_bytes):
    other = LINE.replace("acme", "beta")
    path = put(tmp_path / "a.log", LINE, other, LINE, LINE, other, LINE)
    parts = list(read_access_log(path, ["status"], log_format(API), block_bytes=block_bytes))
    copies = [copy for part in parts for copy in part.identity.copies.to_pylist()]
    assert copies == [0, 0, 1, 2, 1, 3]
    assert {line for part in parts for line in part.identity.lines.to_pylist()} == {LINE, other}


def test_a_line_is_the_same_whatever_ends_it(tmp_path):
    path = put(tmp_path / "a.log", LINE, LINE + "\r", LINE)
    (part,) = read_access_log(path, ["status"], log_format(API))
    assert sorted(part.identity.copies.to_pylist()) == [0, 1, 2]
    assert part.identity.lines.to_pylist() == [LINE] * 3


def test_a_referrer_has_no_query(tmp_path):
    line = LINE.replace("curl/8", "https://x.org/a?token=1#b")
    rows, _ = read(put(tmp_path / "a.log", line), ["http_referer"], API.replace("http_user_agent", "http_referer"))
    assert rows == [(1, "https://x.org/a")]


APACHE = r'LogFormat "%v:%p %h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D \"%{X-Account-Id}i\"" api'
# As Apache 2.4 writes them: a quote inside a value is escaped by a backslash, a foreign byte by its number.
APACHE_LINES = r"""
api.example.org:443 203.0.113.9 - - [22/Nov/2026:09:25:34 +0100] "POST /v1/orders?page=2 HTTP/1.1" 201 317 "-" "python-requests/2.31.0" 18230 "acme"
api.example.org:443 203.0.113.9 - ada [22/Nov/2026:09:25:34 +0100] "GET /v1/caf\xc3\xa9 HTTP/1.1" 304 - "https://example.org/?q=\"x\"" "odd \"agent\"" 95 "beta"
api.example.org:443 203.0.113.9 - - [22/Nov/2026:09:25:35 +0100] "-" 408 - "-" "-" 20001044 "-"
""".strip().split("\n")  # noqa: E501 - lines as a server writes them


def test_an_apache_log_is_read_by_its_log_format(tmp_path):
    columns = ["server_name", "time_local", "request_method", "uri", "status", "body_bytes_sent", "http_user_agent"]
    rows, faults = read(
        put(tmp_path / "access_log", *APACHE_LINES), [*columns, "request_time_us", "http_x_account_id"], APACHE
    )
    host, later = "api.example.org", NOON.replace(second=35)
    assert faults == []
    assert rows == [
        (1, host, NOON, "POST", "/v1/orders", "201", "317", "python-requests/2.31.0", "18230", "acme"),
        (2, host, NOON, "GET", "/v1/café", "304", None, 'odd "agent"', "95", "beta"),
        (3, host, later, None, None, "408", None, None, "20001044", None),
    ]


@pytest.mark.parametrize(
    ("text", "line", "columns", "row"),
    [
        ("$status $upstream_response_time $uri", "200 0.001, 0.002 /a", ["upstream_response_time"], ("0.001, 0.002",)),
        ("$status|$http_user_agent|$uri", "200|a b c|/a", ["http_user_agent", "uri"], ("a b c", "/a")),
        ("rt=$request_time ua='$http_user_agent'", "rt=0.5 ua='x y'", ["request_time"], ("0.5",)),
        ("$host$request_uri $status", "x.org/a?key=1 200", ["host", "uri", "arg_key"], ("x.org", "/a", "1")),
        ("$uri$is_args$args $status", "/a?key=1 200", ["uri", "arg_key", "status"], ("/a", "1", "200")),
        ("$uri$is_args$args $status", "/a 200", ["uri", "arg_key", "status"], ("/a", None, "200")),
        ('"$time_iso8601" $msec', '"2026-11-22T09:25:34+01:00" 1795335934.5', ["msec"], ("1795335934.5",)),
    ],
)
def test_other_layouts_are_read_too(tmp_path, text, line, columns, row):
    rows, faults = read(put(tmp_path / "a.log", line), columns, text)
    assert (rows, faults) == ([(1, *row)], [])


values = st.text(st.characters(codec="ascii", exclude_characters='"\\', min_codepoint=32, max_codepoint=126))


@given(st.lists(st.tuples(values, values.filter(lambda text: " " not in text), values), max_size=5))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_lines_at_once_are_read_as_each_alone(tmp_path, made):
    start = '10.0.0.7 - - [22/Nov/2026:09:25:34 +0100] "'
    lines = [f'{start}GET /{one} HTTP/1.1" 200 "{two}" {three} "{one}"' for one, three, two in made]
    rows, faults = read(put(tmp_path / "a.log", *lines), ["http_user_agent", "request_time", "http_x_account_id"])
    alone = [LineParser(log_format(API))(line) for line in lines]
    expected = [
        (number, one["http_user_agent"], one["request_time"], one["http_x_account_id"])
        for number, one in enumerate(alone, 1)
        if isinstance(one, dict)
    ]
    assert rows == expected
    assert len(faults) == len(lines) - len(expected)


SPACES = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and sign not in "\r\n")


@pytest.mark.parametrize(
    ("text", "is_every_line"),
    [
        ("$status|$uri", True),
        ("$host$request_uri $status", True),
        ("$uri$is_args$args $status", True),
        ("$status $upstream_response_time $uri", True),
        ('"$http_user_agent" $status $scheme $request_method $uri', True),
        ("log_format api escape=none '\"$http_user_agent\" $status';", False),
        ("$uri - $status, $host", False),
    ],
)
@given(st.lists(st.text(st.sampled_from('a0/?-" ,:.|\\xné\U0001f600' + SPACES)), max_size=8), st.randoms())
def test_a_line_is_read_at_once_only_as_it_is_alone(text, is_every_line, values, random):
    log = log_format(text)
    filled = "".join(
        piece if isinstance(piece, str) else random.choice([*values, "200", "-", "/a"]) for piece in log.pieces
    )
    lines = [*values, filled]
    places, table = TableParser(log, [field.name for field in log.fields])(pa.array(lines, pa.string()))
    alone = [LineParser(log)(line) for line in lines]
    assert table.to_pylist() == [alone[place] for place in places]
    if is_every_line:
        assert [place for place, row in enumerate(alone) if isinstance(row, dict) and lines[place]] == places.tolist()
