import itertools
import string

import pytest

from features.ingest.remarks.route_patterns import suggested
from features.ingest.route_templates import Templates

WORDS = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=2)]  # no ids to a template


def patterns(calls, **more):
    return [one.pattern for one in suggested(calls, **more)]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([f"/v1/files/{word}" for word in WORDS[:51]], ["/v1/files/{file}"]),
        ([f"/v1/files/{word}" for word in WORDS[:50]], []),
        ([f"/v1/{word}" for word in WORDS[:60]], ["/v1/{name}"]),
        ([f"/companies/{word}/users/{{id}}" for word in WORDS[:60]], ["/companies/{company}/users/{id}"]),
        (
            [f"/r/{word}/{end}" for word in WORDS[:60] for end in ("a", "b")],
            ["/r/{r}/a", "/r/{r}/b"],
        ),
        ([f"/raw/{word}" + "/x" * (place % 25) for place, word in enumerate(WORDS)], ["/raw/{raw...}"]),
        ([f"/a/{one}/b/{two}" for one in WORDS[:60] for two in WORDS[:60]], ["/a/{a}/b/{b}"]),
        (["{strange}", ""], []),
    ],
)
def test_a_place_of_many_words_becomes_a_placeholder(paths, expected):
    assert patterns(dict.fromkeys(paths, 1)) == expected


def test_a_route_of_its_own_is_declared_first():
    calls = dict.fromkeys([f"/files/{word}" for word in WORDS[:90]], 1) | {"/files/latest": 50}
    assert patterns(calls) == ["/files/latest", "/files/{file}"]
    (own, other) = suggested(calls)
    assert (own.templates, own.calls, other.templates, other.calls) == (1, 50, 90, 90)


def test_what_is_suggested_takes_the_paths_in():
    paths = [f"/v1/files/{word}/content" for word in WORDS] + [f"/v1/notes/{word}" for word in WORDS]
    declared = Templates(patterns(dict.fromkeys(paths, 1)))
    assert {declared(path) for path in paths} == {"/v1/files/{file}/content", "/v1/notes/{note}"}


def test_only_the_most_useful_are_named():
    calls = {f"/{first}x/{second}y": 1 for first in WORDS[:30] for second in WORDS[: 51 + WORDS.index(first)]}
    assert patterns(calls, most=2) == [f"/{word}x/{{{word}x}}" for word in (WORDS[29], WORDS[28])]


def test_a_path_of_endless_words_costs_no_more():
    assert patterns({"/a" * 5000: 1, **{f"/{word}" + "/b" * 5000: 1 for word in WORDS[:60]}}) != []
