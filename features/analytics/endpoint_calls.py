"""How often each account called each endpoint lately and before, with outcomes: what a diagnosis compares."""

import ibis
import ibis.expr.types as ir

from features.groups.observation import KEYS, known_rows

__all__ = ["EARLIER_DAYS", "FAILURES", "OBSERVED_DAYS", "RECENT_DAYS", "WINDOWS", "endpoint_calls", "expected_failures"]


RECENT_DAYS = 28
"""What is looked at: ``[c - 28 d, c)``."""

EARLIER_DAYS = 91
"""What it is compared with, where an account is compared with itself: the 91 days before."""

OBSERVED_DAYS = RECENT_DAYS + EARLIER_DAYS

WINDOWS = (28, 14, 7)
"""Days within which endpoints in use are counted: who gives them up one by one shows it in the shorter ones first."""

FAILURES = ("err_auth", "err_throttled", "err_client", "err_server")
"""Classes of failed calls, as the rollups count them."""

_ENDPOINT = ("cutoff", "method", "endpoint")
_PRIOR_CALLS = 50.0  # so many calls at the rate of all endpoints stand beside what others saw on one


def endpoint_calls(endpoint: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """One row per account, cutoff, method and endpoint called in the last 119 days, as known at the cutoff.

    ``calls``, ``answered`` (with a status) and the classes of failed calls are of the last 28 days, ``ok_<days>d`` the
    successful ones of several windows, ``earlier_ok`` those of the 91 days before the last 28.

    Parameters
    ----------
    endpoint
        The ``endpoint`` rollup.
    cutoffs
        The column ``cutoff``.
    """
    seen = known_rows(endpoint, cutoffs, window_days=OBSERVED_DAYS)
    is_recent = seen.age_days <= RECENT_DAYS

    def recent(counts: ir.IntegerValue) -> ir.IntegerValue:
        return counts.sum(where=is_recent).fill_null(0).cast("int64")

    return seen.group_by(*KEYS, "method", "endpoint").agg(
        calls=recent(seen.calls),
        answered=recent(seen.calls - seen.no_status),
        **{f"ok_{days}d": seen.ok.sum(where=seen.age_days <= days).fill_null(0).cast("int64") for days in WINDOWS},
        **{name: recent(seen[name]) for name in FAILURES},
        earlier_ok=seen.ok.sum(where=~is_recent).fill_null(0).cast("int64"),
    )


def expected_failures(calls: ir.Table) -> ir.Table:
    """Beside each row of :func:`endpoint_calls`, how many of its calls would fail at the rate of all other accounts.

    The rate of others on the same endpoint, drawn towards that of all endpoints where others made few calls:
    ``expected_<class>`` is it times the calls that carry a status.
    """
    on_endpoint = ibis.window(group_by=_ENDPOINT)
    everywhere = ibis.window(group_by="cutoff")
    others_answered = calls.answered.sum().over(on_endpoint) - calls.answered
    all_answered = calls.answered.sum().over(everywhere)
    expected = {}
    for name in FAILURES:
        others = calls[name].sum().over(on_endpoint) - calls[name]
        usual = calls[name].sum().over(everywhere) / all_answered.cast("float64").nullif(0.0)
        rate = (others + _PRIOR_CALLS * usual) / (others_answered + _PRIOR_CALLS)
        expected[f"expected_{name}"] = (calls.answered * rate).fill_null(0.0)
    return calls.mutate(**expected)
