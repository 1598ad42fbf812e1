"""Users and tokens that made a good part of an account's calls and then fell silent while others went on."""

import ibis.expr.types as ir

from features.analytics.endpoint_calls import EARLIER_DAYS, RECENT_DAYS
from features.groups.observation import KEYS, known_rows

__all__ = ["SILENT_DAYS", "lost_people"]


SILENT_DAYS = 7
"""Who was heard of within so many days is not lost."""

_FEWEST_CALLS = 10


def lost_people(people: ir.Table, cutoffs: ir.Table, *, person: str) -> ir.Table:
    """One row per account, cutoff and person silent for at least 7 days whose last call lies in the 91 days before.

    ``last_age_days`` is the age of the day of the last call (1 is the day that ends at the cutoff); ``calls`` of
    ``calls_of_all`` were this person's in the 28 days up to it, and ``calls_since`` are those of others after it.

    Parameters
    ----------
    people
        The ``user`` or the ``token`` rollup.
    person
        Its column, ``user_id`` or ``token``.
    """
    seen = known_rows(people, cutoffs, window_days=EARLIER_DAYS + RECENT_DAYS)
    daily = seen.group_by(*KEYS, "age_days", person).agg(calls=seen.calls.sum().cast("int64"))
    of_account = daily.group_by(*KEYS, "age_days").agg(calls_of_all=daily.calls.sum().cast("int64"))
    last = daily.group_by(*KEYS, person).agg(last_age_days=daily.age_days.min())
    last = last.filter((last.last_age_days > SILENT_DAYS) & (last.last_age_days <= EARLIER_DAYS))
    own = daily.join(last, [*KEYS, person])
    own = own.filter(own.age_days < own.last_age_days + RECENT_DAYS)
    own = own.group_by(*KEYS, person).agg(calls=own.calls.sum().cast("int64"), last_age_days=own.last_age_days.max())
    own = own.filter(own.calls >= _FEWEST_CALLS)
    beside = own.join(of_account, list(KEYS))
    is_up_to_last = (beside.age_days >= beside.last_age_days) & (beside.age_days < beside.last_age_days + RECENT_DAYS)
    return beside.group_by(*KEYS, person, "calls", "last_age_days").agg(
        calls_of_all=beside.calls_of_all.sum(where=is_up_to_last).fill_null(0).cast("int64"),
        calls_since=beside.calls_of_all.sum(where=beside.age_days < beside.last_age_days).fill_null(0).cast("int64"),
    )
