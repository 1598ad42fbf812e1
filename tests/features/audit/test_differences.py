"""Equal is equal to a billionth, to the last unit of an integer, and null is equal to null alone."""

import pyarrow as pa
import pytest

from features.audit.differences import differing, is_equal
from features.definitions.catalog import spec

FLOAT, INT, CATEGORY = spec("error_rate_28d"), spec("calls_7d"), spec("plan")
BIG = 2**53


def places(feature, *versions):
    return [row for row, _ in differing([pa.table({feature.name: one}) for one in versions], [feature])]


@pytest.mark.parametrize(
    ("left", "right", "differs"),
    [
        (1.0, 1.0, False),
        (1.0, 1.0 + 9e-10, False),
        (1.0, 1.0 + 2e-9, True),
        (-1e6, -1e6 - 1e-4, False),
        (0.0, 1e-12, True),
        (None, None, False),
        (None, 0.0, True),
        (None, float("nan"), False),
        (float("inf"), float("inf"), False),
        (float("inf"), 1.0, True),
        (float("inf"), float("-inf"), True),
    ],
)
def test_fractions(left, right, differs):
    one, other = pa.array([left], pa.float64()), pa.array([right], pa.float64())
    assert bool(places(FLOAT, one, other)) is bool(places(FLOAT, other, one)) is differs


def test_integers_are_exact_also_where_fractions_would_not_tell_them_apart():
    assert places(INT, pa.array([BIG, 5, None, 7]), pa.array([BIG + 1, 5, None, None])) == [0, 3]


def test_integers_equal_the_doubles_a_training_frame_has_for_them():
    assert places(INT, pa.array([3, None, 4]), pa.array([3.0, None, 5.0])) == [2]


def test_categories():
    names = pa.array(["pro", None, "pro", None])
    assert places(CATEGORY, names, pa.array(["pro", None, "basic", "pro"])) == [2, 3]


def test_any_version_may_differ_and_one_without_the_feature_says_nothing():
    same, other = pa.array([1, 2]), pa.array([1, 3])
    assert places(INT, same, same, other) == [1]
    tables = [pa.table({INT.name: same}), pa.table({"else": other})]
    assert list(differing(tables, [INT])) == []


def test_two_values_follow_the_same_rule():
    assert is_equal(1.0, 1.0 + 9e-10)
    assert is_equal(3, 3.0)
    assert is_equal(None, None)
    assert not is_equal(1.0, 1.0 + 2e-9)
    assert not is_equal(0.0, None)
    assert not is_equal("pro", "basic")
