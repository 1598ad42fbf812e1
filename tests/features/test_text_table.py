import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.text_table import printable, text_table

NAMES = ["account", "why", "calls"]
ROWS = [["acme", "calls fell by half in June", "1,200"], ["b", "", "7"]]
RIGHT = [False, False, True]


def test_without_a_width_each_row_is_one_line():
    assert text_table(NAMES, ROWS, at_right=RIGHT, width=None) == [
        "account  why                         calls",
        "───────  ──────────────────────────  ─────",
        "acme     calls fell by half in June  1,200",
        "b                                        7",
    ]


def test_text_is_broken_between_words_and_numbers_stay_whole():
    assert text_table(NAMES, ROWS, at_right=RIGHT, width=30) == [
        "account  why             calls",
        "───────  ──────────────  ─────",
        "acme     calls fell by   1,200",
        "         half in June",
        "b                            7",
    ]


def test_where_the_columns_do_not_fit_each_row_is_a_list():
    assert text_table(NAMES, ROWS, at_right=RIGHT, width=18) == [
        "account  acme",
        "why      calls",
        "         fell by",
        "         half in",
        "         June",
        "calls    1,200",
        "",
        "account  b",
        "why",
        "calls    7",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller & Söhne, 東京 👍", "Müller & Söhne, 東京 👍"),
        ("half\u200ca join", "half\u200ca join"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("two\nlines\r\tand a tab", r"two\nlines\r\tand a tab"),
        ("\x9b31m \u202eback\u2028 \ud800", r"\x9b31m \u202eback\u2028 \ud800"),
        ("[bold]:smile:", "[bold]:smile:"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown
    assert text_table(["name"], [[text]], at_right=[False], width=None)[2] == shown


words = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=50), max_size=5)
rows = st.integers(1, 9).flatmap(
    lambda width: st.lists(st.tuples(*[words.map(" ".join)] * width), min_size=1, max_size=4)
)


@given(rows, st.sampled_from([40, 80, 120, None]))
def test_no_letter_is_lost_and_no_line_too_long(rows, width):
    from rich.cells import cell_len

    names = [f"column_{place}" for place in range(len(rows[0]))]
    lines = text_table(names, rows, at_right=[False] * len(names), width=width)
    assert width is None or max(map(cell_len, lines)) <= width
    shown, given_ = "".join(lines), "".join("".join(row) for row in rows)
    for letter in set(given_) - set(" ─"):
        assert shown.count(letter) >= given_.count(letter)
