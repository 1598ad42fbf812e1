import gzip
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.exceptions import InputError
from features.sources.delimited import read_delimited
from features.sources.files import group_files
from features.sources.json_files.lines import read_json_lines
from features.sources.text.lines import read_blocks


def read_csv(path, columns="ab", **more):
    parts = list(read_delimited(path, tuple(columns), delimiter=",", **more))
    rows = [
        (number, *row.values())
        for part in parts
        for number, row in zip(part.numbers, part.table.to_pylist(), strict=True)
    ]
    return rows, [(fault.line, fault.reason, fault.what) for part in parts for fault in part.faults]


def read_json(path, *columns, **more):
    seen = set()
    parts = list(read_json_lines(path, columns, seen=seen, **more))
    rows = [
        (number, *row.values())
        for part in parts
        for number, row in zip(part.numbers, part.table.to_pylist(), strict=True)
    ]
    return rows, [(fault.line, fault.reason) for part in parts for fault in part.faults], parts, seen


def put(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "rows", "faults"),
    [
        (b"a,b\n1,2\n\n3,\n", [(2, "1", "2"), (4, "3", None)], []),
        (b"a,b\r\n1,2\r\n3,4", [(2, "1", "2"), (3, "3", "4")], []),
        (b"\xef\xbb\xbfa,b\n1,2\n", [(2, "1", "2")], []),
        (b'a,b\n"1,\n2","x ""y"""\n3,4\n', [(2, "1,\n2", 'x "y"'), (4, "3", "4")], []),
        (b"a,b\n1\n3,4\n5,6,7\n", [(3, "3", "4")], [(2, "1 column instead of 2"), (4, "3 columns instead of 2")]),
        (b'a,b\n1,2\n"3,4\n5,6\n', [(2, "1", "2"), (4, "5", "6")], [(3, "a quote that is not closed")]),
        (b'a,b\n"3,4\n"5",6\n7,8\n', [(3, "5", "6"), (4, "7", "8")], [(2, "broken quotes, or an end of line inside")]),
        (b'a,b\n"x"y,2\n3,4\n', [(3, "3", "4")], [(2, "broken quotes, or an end of line inside a value")]),
        (b'a,b\n5" pipe,2\n', [(2, '5" pipe', "2")], []),
        (b"a,b\n1,caf\xe9\n3,caf\xc3\xa9\n", [(3, "3", "café")], [(2, "bytes that are not UTF-8")]),
        (b"a,b\n1,2\r3,4\n5,6\n", [(3, "5", "6")], [(2, "broken quotes, or an end of line inside a value")]),
        (b"a,b\n", [], []),
    ],
)  # fmt: skip
def test_a_line_that_is_no_row_is_a_fault_and_reading_goes_on(tmp_path, content, rows, faults):
    got, found = read_csv(put(tmp_path / "x.csv", content))
    assert got == rows
    assert [line for line, _, _ in found] == [line for line, _ in faults]
    assert all(what.startswith(expected) for (_, _, what), (_, expected) in zip(found, faults, strict=True))


line = st.lists(st.sampled_from(["x", "", '"q"', '"', 'a"b', '"x\ny"', "é", "\r", " ", '""']), max_size=3).map(",".join)


@given(st.lists(line, max_size=12), st.integers(1, 40))
@example(['"', "x,x", '"'], 1)
def test_where_a_block_ends_changes_nothing(tmp_path_factory, lines, size):
    path = tmp_path_factory.getbasetemp() / "blocks.csv"
    put(path, ("a,b\n" + "\n".join(lines)).encode())
    assert read_csv(path, block_bytes=size) == read_csv(path)


@given(st.lists(st.sampled_from(["1,2", "3", "", "x,é", "\xff,1"]), max_size=9))
def test_lines_without_quotes_are_read_alike_at_once_and_one_by_one(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "plain.csv"
    content = "\n".join(lines).encode("latin-1")
    plain, faults = read_csv(put(path, b"a,b\n" + content))
    # A quoted row at the end makes every line be read with care.
    careful, same = read_csv(put(path, b"a,b\n" + content + b'\n"z","z"'))
    assert (plain, faults) == (careful[:-1], same)


def test_a_gzip_file_that_was_cut_short_gives_the_lines_before(tmp_path):
    lines = [f"{number},{number * 7919 % 1000}" for number in range(20_000)]
    packed = gzip.compress("\n".join(["a,b", *lines]).encode())
    rows, faults = read_csv(put(tmp_path / "x.csv.gz", packed[: len(packed) // 2]))
    assert [f"{a},{b}" for _, a, b in rows] == lines[: len(rows)]
    assert 1000 < len(rows) < 19_000
    assert faults == [(len(rows) + 2, "file_cut_short", "the file was cut short here")]


def test_gzip_files_put_behind_each_other_are_one(tmp_path):
    content = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n") + b"\0" * 512
    assert read_csv(put(tmp_path / "x.csv.gz", content))[0] == [(2, "1", "2"), (3, "3", "4")]


def test_a_gzip_file_of_other_bytes_is_refused(tmp_path):
    packed = bytearray(gzip.compress(b"a,b\n" + b"1,2\n" * 9))
    packed[-8] ^= 1  # its checksum
    with pytest.raises(InputError, match=r"x.csv.gz is damaged: it cannot be unpacked. Write it again"):
        read_csv(put(tmp_path / "x.csv.gz", bytes(packed)))


def test_a_file_without_ends_of_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("features.sources.text.lines._LONGEST_LINE_BYTES", 1000)
    with pytest.raises(InputError, match=r"no text of lines: line 1 is longer than"):
        list(read_blocks(put(tmp_path / "x.csv", b"x" * 5000), block_bytes=10))


@pytest.mark.parametrize(
    ("content", "rows", "faults"),
    [
        (b'{"a": 1, "b": "x"}\n\n{"b": null}\r\n', [(1, "1", "x"), (3, None, None)], []),
        (b'{"a": 12345678901234567890.10, "b": true}', [(1, "12345678901234567890.10", "true")], []),
        (b'{"a": 1\n{"a": 2}\n[1]\n"x"\n{"a": NaN}', [(2, "2", None), (5, "NaN", None)], [1, 3, 4]),
        (b'{"a": "caf\xe9"}\n{"a": 2}', [(2, "2", None)], [1]),
        (b'{"a": "\\ud800"}\n{"a": "\\ud83d\\ude00"}', [(2, "\U0001f600", None)], [1]),
        (b"[" * 100_000 + b'\n{"a": 2}', [(2, "2", None)], [1]),
    ],
)
def test_objects_are_read_and_other_lines_are_faults(tmp_path, content, rows, faults):
    got, found, _, _ = read_json(put(tmp_path / "x.jsonl", content), "a", "b")
    assert (got, [number for number, _ in found]) == (rows, faults)


def test_a_number_too_long_to_read_is_a_fault_of_its_line_alone(tmp_path):
    long = b"9" * 5000
    path = put(tmp_path / "e.jsonl", b'{"a": 1}\n{"a": 2, "x": [0, ' + long + b']}\n{"a": 3}\n')
    rows, faults, *_ = read_json(path, "a", "x")
    assert rows == [(1, "1", None), (3, "3", None)]
    assert faults == [(2, "line_unreadable")]


def test_nested_values_are_noted_and_kept_as_json(tmp_path):
    path = put(tmp_path / "x.jsonl", b'{"a": 1}\n{"a": {"id": 7}, "c": [1, 2]}\n')
    rows, _, (part, *_), seen = read_json(path, "a", "c")
    assert rows == [(1, "1", None), (2, '{"id": 7}', "[1, 2]")]
    assert part.nested == {"a": [1], "c": [1]}
    assert seen == {"a", "c"}


def read_whole(path):
    (files,) = group_files([path])
    parts = list(files.rows(path, files.columns, seen=set()))
    return files.columns, [
        (int(n), *row.values()) for p in parts for n, row in zip(p.numbers, p.table.to_pylist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        (b"sep=;\na;b,c\n1;2\n", ("a", "b,c"), [(3, "1", "2")]),
        (b'"sep=,"\r\na,b\r\n1,2\r\n', ("a", "b"), [(3, "1", "2")]),
        (b'\xef\xbb\xbfSEP=\t\na\tb\n1\t"2"\n', ("a", "b"), [(3, "1", "2")]),
        (b"a , b\xc2\xa0,\xe2\x80\x8bc\n1,2,3\n", ("a", "b", "c"), [(2, "1", "2", "3")]),
        ("a,b\n\u00e9,2\n".encode("utf-16"), ("a", "b"), [(2, "\u00e9", "2")]),
        ("account,b\n\u00e9,2\n".encode("utf-16-le"), ("account", "b"), [(2, "\u00e9", "2")]),
        ("account,b\n\u00e9,2\n".encode("utf-16-be"), ("account", "b"), [(2, "\u00e9", "2")]),
        ("sep=;\nacc;b\nx;2\n".encode("utf-16"), ("acc", "b"), [(3, "x", "2")]),
    ],
)
def test_what_a_spreadsheet_writes_is_read(tmp_path, content, columns, rows):
    assert read_whole(put(tmp_path / "x.csv", content)) == (columns, rows)


def test_a_hint_at_the_end_of_a_block_is_no_header(tmp_path):
    path = put(tmp_path / "x.csv", b"sep=;\na;b\n1;2\n3;4\n")
    parts = list(read_delimited(path, ("a", "b"), delimiter=";", block_bytes=3))
    assert [row for part in parts for row in part.table.to_pylist()] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_utf_16_cut_inside_a_letter_is_cut(tmp_path):
    path = put(tmp_path / "x.jsonl", '{"a": 1}\n{"a": 2}'.encode("utf-16-le")[:-1])
    rows, faults, *_ = read_json(path, "a")
    assert (rows, [reason for _, reason in faults]) == ([(1, "1")], ["file_cut_short"])


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (b'{"attributes": {"http.route": "/a", "tenant.id": "t"}}', "attributes.tenant.id", "t"),
        (b'{"a.b": {"c.d": {"e": 5}}}', "a.b.c.d.e", "5"),
        (b'{"a": {"b": 1, "b.c": 2}}', "a.b.c", "2"),
        (b'{"a": {"b": {"x": 1}}, "a.b": {"c": 3}}', "a.b.c", "3"),
        (b'{"a.b": 4, "a": {"b": 5}}', "a.b", "4"),
        (b'{"request": {"headers": {"x-account-id": ["acme"]}}}', "request.headers.X-Account-Id", "acme"),
        (b'{"a": ["x"]}', "a", "x"),
        (b'{"a": [true]}', "a", "true"),
        (b'{"a": []}', "a", None),
        (b'{"a": [null]}', "a", None),
        (b'{"a": {"b": [7]}}', "a.b", "7"),
        (b'{"a": [{"b": 1}]}', "a", '[{"b": 1}]'),
        (b'{"a": ["x", "y"]}', "a", '["x", "y"]'),
    ],
)
def test_a_value_is_found_below_dotted_keys_and_in_a_list_of_one(tmp_path, line, name, value):
    rows, *_ = read_json(put(tmp_path / "x.jsonl", line + b"\n"), name)
    assert rows == [(1, value)]


def test_what_nginx_writes_as_bytes_is_read(tmp_path):
    lines = (
        rb'{"a": "curl \x22x\x22 \xC3\xA9"}',
        rb'{"a": "\\x22 \\\x5C", "b": [1, 2]}',
        rb'{"a": "\xZZ"}',
        rb'{"a": "\\x22"}',
    )
    rows, faults, *_ = read_json(put(tmp_path / "x.jsonl", b"\n".join(lines)), "a", "b")
    assert rows == [(1, 'curl "x" \u00e9', None), (2, "\\x22 \\\\", "[1, 2]"), (4, "\\x22", None)]
    assert faults == [(3, "line_unreadable")]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | st.text() | st.integers() | st.booleans())))
def test_json_lines_say_what_python_says(tmp_path_factory, objects):
    path = tmp_path_factory.getbasetemp() / "said.jsonl"
    put(path, "\n".join(json.dumps(one) for one in objects).encode())
    rows, faults, _, _ = read_json(path, "a", "b", block_bytes=30)
    words = {True: "true", False: "false", None: None}
    said = [
        tuple(words[v] if v is None or v is True or v is False else str(v) for v in map(one.get, "ab"))
        for one in objects
    ]
    assert faults == []
    assert [row[1:] for row in rows] == said


@pytest.mark.parametrize("content", [b"a,b\rc,d\r", b'"' + b"x" * 200_000 + b'",b\n'])
def test_a_header_that_is_no_csv_line_is_told(tmp_path, content):
    with pytest.raises(InputError, match="its first line is no header"):
        group_files([put(tmp_path / "e.csv", content)])
