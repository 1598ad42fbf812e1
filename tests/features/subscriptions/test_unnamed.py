"""Which subscription a row without an id belongs to, in tables small enough to read."""

import pytest

from features.subscriptions.unnamed import UnnamedRow, subscriptions_of

DAY = 86_400_000_000
TICK = 1 / DAY
DAYS = 14


def told(*rows: tuple) -> tuple[list[int], bool, bool]:
    """Numbers, second, kept alive; of rows (day, kind, plan[, mrr[, term_end day[, id]]])."""
    full = [(*row, *(None,) * (6 - len(row))) for row in rows]
    read = [
        UnnamedRow(name, round(day * DAY), kind, plan, mrr, None if end is None else round(end * DAY))
        for day, kind, plan, mrr, end, name in full
    ]
    numbers, said = subscriptions_of(read, reactivation_days=DAYS)
    return numbers, said.has_second, said.is_kept_alive


PRO, ADDON = (1, "start", "pro", 100.0), (60, "start", "addon", 20.0)


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        ([PRO], [0]),
        ([PRO, (30, "renew", None), (60, "upgrade", "max")], [0, 0, 0]),
        ([PRO, (60, "start", "pro", 100.0)], [0, 0]),  # a renewal written as a start
        ([PRO, (60, "start", None)], [0, 0]),
        ([PRO, ADDON], [0, 1]),
        ([PRO, ADDON, (90, "renew", "pro"), (90, "renew", "addon")], [0, 1, 0, 1]),
        ([PRO, ADDON, (90, "renew", None, 20.0), (90, "renew", None, 100.0)], [0, 1, 1, 0]),  # each at its price
        ([PRO, ADDON, (90, "renew", None, 25.0), (90, "downgrade", None, 20.0)], [0, 1, 0, 0]),
        ([PRO, ADDON, (90, "cancel_notice", None, 20.0)], [0, 1, 1]),
        ([PRO, ADDON, (90, "upgrade", "max", 300.0), (120, "renew", "max")], [0, 1, 0, 0]),  # the dearest moves on
        ([PRO, ADDON, (90, "cancel", "addon")], [0, 1, 1]),
        ([PRO, ADDON, (90, "cancel", None), (91, "cancel", None)], [0, 1, 0, 1]),  # the older, then the account
        ([PRO, ADDON, (90, "cancel", "unheard of")], [0, 1, 0]),
        ([PRO, (30, "cancel", "pro"), (30, "start", "new")], [0, 0, 0]),  # nothing ran: it goes on
        ([(1, "start", "pro", 9.0, 60), (60, "start", "new", 9.0)], [0, 0]),  # another plan when the term ended
        ([(1, "start", "pro", 9.0, 60 + TICK), (60, "start", "new", 9.0)], [0, 1]),
        ([PRO, ADDON, (90, "cancel", "addon"), (99, "reactivate", "addon")], [0, 1, 1, 1]),
    ],
)
def test_all_rows_are_one_subscription_but_for_a_start_of_another_plan(rows, numbers):
    assert told(*rows)[0] == numbers


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([(1, "start", "pro"), (10, "cancel", "pro")], True),  # on the 1st and on the 10th: has left
        ([(1, "start", "pro"), (10, "cancel", None)], True),
        ([PRO, (60, "start", "pro", 100.0), (70, "cancel", "pro")], True),  # renewed, then cancelled
        ([PRO, (60, "start", "pro", 100.0), (61 - TICK, "cancel", "pro")], False),
        ([PRO, (60, "start", "pro", 100.0), (61, "cancel", "pro")], True),
        ([PRO, (60, "start", "pro", 90.0), (74 - TICK, "cancel", "pro")], False),  # the same plan at another price
        ([PRO, (60, "start", "pro", 90.0), (74, "cancel", "pro")], True),
        ([PRO, (60, "start", "pro", 90.0), (61, "cancel", "pro"), (62, "cancel", "pro")], True),
        ([PRO, (1, "start", "pro", 90.0), (9, "cancel", "pro")], True),  # the price of the start was corrected
        ([PRO, (60, "start", "pro", 90.0), (60, "start", "pro", 80.0), (70, "cancel", "pro")], False),
        ([PRO, (60, "upgrade", "max", 300.0), (74 - TICK, "cancel", "pro")], False),  # names what it was before
        ([PRO, (60, "upgrade", "max", 300.0), (74, "cancel", "pro")], True),
        ([(1, "start", "pro", 9.0, 60), (60, "start", "new", 9.0), (99, "cancel", "pro")], False),
        ([PRO, (60, "start", "new", 90.0), (60, "cancel", "pro")], False),
        ([PRO, (60, "start", "new", 90.0), (60, "cancel", None), (300, "cancel", "new")], True),
    ],
)
def test_a_cancellation_ends_the_account_or_what_was_before(rows, ends):
    numbers, _, is_kept_alive = told(*rows)
    assert is_kept_alive is not ends
    if not ends and len(set(numbers)) == 1:
        raise AssertionError("the account ended")


def test_an_account_with_two_is_told_also_when_nothing_was_cancelled():
    assert told(PRO, ADDON)[1:] == (True, False)
    assert told(PRO, (60, "renew", "pro"))[1:] == (False, False)


def test_ids_that_a_source_begins_to_deliver_go_on_with_what_ran():
    rows = [PRO, (90, "renew", "pro", 100.0, None, "s1"), (120, "cancel", "pro", None, None, "s1")]
    assert told(*rows) == ([0, 0, 0], False, False)


def test_a_row_without_its_id_belongs_to_what_runs():
    rows = [(1, "start", "pro", 9.0, None, "s1"), (30, "cancel", "pro")]
    assert told(*rows)[0] == [0, 0]
