"""A feature that a young log cannot have enters once most rows have it, and the day is told."""

import lightgbm as lgb
import pandas as pd
import pytest

from features.definitions.catalog import spec
from features.windows import DAY, utc
from training.models.bundle import Calibration
from training.models.fitted import Fitted
from training.models.history import entries_told, entry_dates, too_young
from training.models.model import encode

FIRST = utc(2026, 1, 5)
YEAR_AGO, PEAK, CALLS = spec("calls_28d_vs_year_ago"), spec("calls_drop_from_peak_91d"), spec("calls_7d")


def frame(*known, feature=PEAK, rows=10):
    """Cutoffs a week apart with so many rows; of each, how many have the feature."""
    return pd.DataFrame(
        {
            "cutoff": [FIRST + 7 * week * DAY for week in range(len(known)) for _ in range(rows)],
            feature.name: [0.1 * row if row < count else None for count in known for row in range(rows)],
            "calls_7d": [float(row) for _ in known for row in range(rows)],
        }
    )


@pytest.mark.parametrize(
    ("known", "enters"),
    [
        ((0, 2, 4, 8), True),
        ((0, 2, 4, 7), False),
        ((0, 0, 1, 2, 9), False),
        ((0, 0, 0, 0, 2, 10), False),
        ((0, 0, 0, 0, 8, 10), True),
        ((10, 10, 10, 10, 10, 0), False),
        ((0, 0, 0), False),
    ],
    ids=["8 of 10", "7 of 10", "12 of 50", "12 of 60", "18 of 60", "none of the newest", "none"],
)
def test_it_enters_when_most_of_the_newest_and_a_third_of_all_have_it(known, enters):
    rows = frame(*known)
    assert (too_young(rows, PEAK) is None) == enters
    encoding = encode(rows, [PEAK, CALLS])
    assert [feature.name for feature in encoding.features] == [PEAK.name] * enters + ["calls_7d"]


def test_the_reason_says_how_much_history_and_what_is_known():
    assert too_young(frame(0, 0, 0, 0, 2, 9), PEAK) == (
        "needs 91 days of history: known in 90 % of the rows of the newest fitting cutoff (80 % needed) and in 18 % of "
        "all (30 % needed)"
    )


def test_a_feature_that_a_young_log_has_is_no_matter_of_history():
    rows = frame(0, 0, 0, 1, feature=spec("nps_last"))
    assert too_young(rows, spec("nps_last")) is None
    assert encode(rows, [spec("nps_last"), CALLS]).left_out == {}


def weeks(count):
    return [FIRST + 7 * week * DAY for week in range(count)]


def test_the_day_is_that_on_which_a_cutoff_with_enough_is_final():
    # Known from the 5th cutoff on: of 5 cutoffs 1 has it, of 6 there are 2, which is a third.
    log_start = FIRST + 28 * DAY - 392 * DAY
    dates = entry_dates([YEAR_AGO, CALLS], weeks(3), log_start=log_start, closing_days=37)
    assert dates == {YEAR_AGO.name: (FIRST + 35 * DAY + 37 * DAY).date()}


def test_a_log_a_day_younger_takes_two_weeks_longer():
    # Known from the 6th cutoff on: 1 of 6, 2 of 7, 3 of 8.
    log_start = FIRST + 29 * DAY - 392 * DAY
    dates = entry_dates([YEAR_AGO], weeks(3), log_start=log_start, closing_days=37)
    assert dates == {YEAR_AGO.name: (FIRST + 49 * DAY + 37 * DAY).date()}


def test_no_day_is_told_where_the_log_is_old_enough_or_its_start_unknown():
    assert entry_dates([PEAK], weeks(9), log_start=FIRST - 91 * DAY, closing_days=37) == {}
    assert entry_dates([PEAK], weeks(9), log_start=None, closing_days=37) == {}


def test_a_model_tells_the_day_beside_the_reason():
    rows = frame(0, 0, 0, 0, feature=YEAR_AGO).assign(active_tokens_28d=None)
    encoding = encode(rows, [YEAR_AGO, CALLS, spec("active_tokens_28d")])
    model = Fitted(lgb.Booster(model_str=_booster(rows)), encoding, Calibration("none", 1.0, 0.0), 1, encoding.features)
    told = model.telling({YEAR_AGO.name: utc(2027, 3, 1).date()}).encoding.left_out
    assert told[YEAR_AGO.name].endswith("of all (30 % needed); models trained from 2027-03-01 on will read it")
    assert told["active_tokens_28d"] == "null in every fitting row"
    assert list(entries_told(told)) == [YEAR_AGO.name]


def _booster(rows):
    data = lgb.Dataset(rows[["calls_7d"]], label=[0, 1] * (len(rows) // 2))
    return lgb.train({"verbosity": -1, "num_threads": 1}, data, num_boost_round=1).model_to_string()
