import gzip
import json

import pytest

from features.exceptions import InputError
from features.sources.json_files.document import first_keys, read_json

A, B = {"a": 1, "r": {"v": "x"}}, {"a": "2", "r": {"v": None}}
ROWS = [("1", "x"), ("2", None)]


def read(path, *columns):
    parts = list(read_json(path, columns, seen=set()))
    rows = [
        (number, *row.values())
        for part in parts
        for number, row in zip(part.numbers, part.table.to_pylist(), strict=True)
    ]
    return rows, [(fault.line, fault.reason, fault.what) for part in parts for fault in part.faults]


def put(path, text):
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([A, B]),
        json.dumps([A, B], indent=2),
        "[\n" + json.dumps(A) + ",\n" + json.dumps(B) + "\n]\n",
        json.dumps(A) + "\n" + json.dumps(B) + "\n",
        json.dumps(A, indent=1) + "\n" + json.dumps(B, indent=1),
        json.dumps({"total": 2, "hits": [A, B], "next": None}),
        json.dumps({"total": {"n": 2}, "hits": {"more": [], "hits": [A, B]}}, indent=4),
        "\ufeff" + json.dumps([A, B]),
    ],
)
@pytest.mark.parametrize("name", ["e.json", "e.json.gz"])
def test_objects_are_found_whatever_the_layout(tmp_path, name, text):
    path = put(tmp_path / name, text)
    rows, faults = read(path, "a", "r.v")
    assert ([row[1:] for row in rows], faults) == (ROWS, [])
    assert first_keys(path) == ("a", "r", "r.v")


def test_a_row_is_known_by_the_line_its_object_begins_on(tmp_path):
    rows, _ = read(put(tmp_path / "e.json", json.dumps([A, B], indent=2)), "a")
    assert rows == [(2, "1"), (8, "2")]


@pytest.mark.parametrize(
    ("text", "rows", "faults"),
    [
        ('[\n{"a": 1},\n{"a": },\n{"a": 3}\n]', [(2, "1"), (4, "3")], [(3, "line_unreadable")]),
        ('[\n{"a": 1},\n{"a": "x,\n{"a": 3}\n]', [(2, "1"), (4, "3")], [(3, "line_unreadable")]),
        ('[\n{"a": 1},\n7,\n{"a": 3}\n]', [(2, "1"), (4, "3")], [(3, "line_unreadable")]),
        ('[{"a": 1}, {"a": }, {"a": 3}]', [(1, "1"), (1, "3")], [(1, "line_unreadable")]),
        (
            '[{"a": 1}, {"a": [{"a": 4}, {"a": 5}], "b": "\n"}, {"a": 3}]',
            [(1, "1"), (2, "3")],
            [(1, "line_unreadable")],
        ),
        ('[{"a": 1}, {"a": "x}, {"a": 3}, {"a": 4}]', [(1, "1"), (1, "3"), (1, "4")], [(1, "line_unreadable")]),
        ('[{"a": 1}, {"a": 2', [(1, "1")], [(1, "file_cut_short")]),
        ('[{"a": 1}]\n[{"a": 2}]\n', [(1, "1")], [(2, "line_unreadable")]),
        ('{"d": [{"a": 1}], "n": {"m": 2}}\n\n[7]', [(1, "1")], [(3, "line_unreadable")]),
        ('{"d": [{"a": 1}],\n{"a": 2}]}', [(1, "1")], [(1, "line_unreadable")]),
        ('{"d": [{"a": 1}], "n": 5\n', [(1, "1")], [(2, "file_cut_short")]),
        ('[\n{"a": 1},\n{"a": 2', [(2, "1")], [(3, "file_cut_short")]),
        ('[\n{"a": 1},\n', [(2, "1")], [(3, "file_cut_short")]),
        ('[\n{"a": 1},\n{"a": "\udce9"},\n{"a": 3}\n]', [(2, "1"), (4, "3")], [(3, "line_not_utf8")]),
        ("[\n" + "[" * 100_000 + '\n{"a": 3}\n]', [(3, "3")], [(2, "line_unreadable")]),
        ('}] 7 {"d": [{"a": 1}]}', [], [(1, "line_unreadable")]),
        ("[]", [], []),
        ("", [], []),
    ],
)
def test_a_broken_list_is_read_as_far_as_it_goes(tmp_path, text, rows, faults):
    got, found = read(put(tmp_path / "e.json", text.encode("utf-8", "surrogateescape")), "a")
    assert got == rows
    assert [fault[:2] for fault in found] == faults


def test_a_list_inside_rows_is_not_taken_for_the_rows(tmp_path):
    rows = [{"a": number, "tags": [{"a": 7}], "r": {"tags": [{"a": 8}]}} for number in range(3)]
    path = put(tmp_path / "e.json", "\n".join(json.dumps(row, indent=1) for row in rows))
    got, faults = read(path, "a")
    assert ([row[1] for row in got], faults) == (["0", "1", "2"], [])
    path = put(tmp_path / "f.json", json.dumps({"meta": {"links": [{"a": 9}]}, "data": rows}, indent=1))
    got, faults = read(path, "a")
    assert ([row[1] for row in got], faults) == (["0", "1", "2"], [])


def test_a_file_of_several_lists_is_refused_by_their_names(tmp_path):
    path = put(tmp_path / "e.json", json.dumps({"meta": [A], "data": [A, B]}))
    with pytest.raises(InputError, match=r"e\.json holds several lists of objects: meta, data\. Write the one"):
        read(path, "a")


def test_a_second_list_far_behind_the_first_is_told(tmp_path):
    long = [{"a": 1, "body": "x" * (2 << 20)}]
    rows, faults = read(put(tmp_path / "e.json", json.dumps({"d": long, "e": [A, B]}, indent=1)), "a")
    assert rows == [(3, "1")]
    assert faults == [(8, "line_unreadable", "another list of objects, which was not read")]


def test_a_packed_list_cut_short_says_so(tmp_path):
    path = put(tmp_path / "e.json.gz", json.dumps([{"a": number * 7919 % 10_007} for number in range(5000)]))
    path.write_bytes(path.read_bytes()[:-500])
    rows, faults = read(path, "a")
    assert 0 < len(rows) < 5000
    assert [fault[1] for fault in faults] == ["file_cut_short"]


def test_an_object_longer_than_a_piece_is_one_row(tmp_path):
    long = [{"a": 1, "body": "x" * (3 << 20)}, {"a": 2}]
    assert read(put(tmp_path / "e.json", json.dumps(long)), "a") == ([(1, "1"), (1, "2")], [])


def test_names_of_headers_are_those_of_any_case_and_bodies_have_no_keys(tmp_path):
    made = {"request": {"headers": {"user-agent": "x/1"}, "body": {"id-1": {"id-2": 3}}}}
    path = put(tmp_path / "e.json", json.dumps([made]))
    assert read(path, "request.headers.User-Agent", "request.headers.None")[0] == [(1, "x/1", None)]
    assert first_keys(path) == ("request", "request.headers", "request.headers.user-agent", "request.body")
