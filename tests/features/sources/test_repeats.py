"""Which of its file's identical lines each is, wherever the file is cut into blocks."""

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from features.sources.text.repeats import Repeats


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"\xff"]), max_size=5), max_size=6))
def test_identical_lines_are_counted_through_all_blocks(blocks):
    repeats, before = Repeats(), Counter()
    for block in blocks:
        copies = repeats(pa.array(block, pa.binary())).tolist()
        for line, copy in zip(block, copies, strict=True):
            assert copy == before[line]
            before[line] += 1
