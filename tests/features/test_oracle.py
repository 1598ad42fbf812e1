"""Every feature again, straight from raw rows by plain SQL that knows no rollup, on random data and several cutoffs."""

# ruff: noqa: E501  (the SQL reads by column, one line each)

import math
import random
from datetime import timedelta

import duckdb
import pytest

from features.catalog import CATALOG
from features.schema import RAW_TABLES
from features.windows import DAY, utc

CUTOFFS = [utc(2026, 3, 2), utc(2026, 5, 4), utc(2026, 5, 5), utc(2026, 6, 29)]
APPROXIMATE = {"latency_p50_ms_28d": 0.025, "latency_p95_ms_7d": 0.025, "latency_p95_ms_28d": 0.025}
APPROXIMATE |= {"latency_p95_7d_vs_prior_28d": 0.051}  # a ratio of two percentiles

ORACLE = r"""
WITH known AS (
  SELECT *, event_time::DATE AS day FROM events WHERE NOT synthetic AND event_time < $c AND ingested_at < $c + INTERVAL 6 HOUR),
subs AS (SELECT * FROM subscriptions WHERE occurred_at < $c AND known_at < $c + INTERVAL 6 HOUR),
accs AS (
  SELECT account_id, arg_max(created_at, known_at) AS created_at FROM accounts
  WHERE known_at < $c + INTERVAL 6 HOUR AND created_at < $c GROUP BY 1),
everybody AS (SELECT account_id FROM known UNION SELECT account_id FROM subs UNION SELECT account_id FROM accs),
facts AS (
  SELECT e.account_id,
    (SELECT min(m) FROM (VALUES
       ((SELECT min(event_time) FROM known k WHERE k.account_id = e.account_id)),
       ((SELECT min(occurred_at) FROM subs s WHERE s.account_id = e.account_id)),
       ((SELECT created_at FROM accs a WHERE a.account_id = e.account_id))) AS v(m)) AS since,
    (SELECT min(day) FROM known) AS log_day,
    (SELECT max(event_time) FROM known k WHERE k.account_id = e.account_id) AS last_call
  FROM everybody e),
w AS (SELECT known.*, date_diff('microsecond', event_time, $c) / 86400e6 AS age FROM known),
c AS (SELECT account_id,
    count(*) FILTER (age <= 7) AS n7, count(*) FILTER (age > 7 AND age <= 14) AS p7,
    count(*) FILTER (age <= 28) AS n28, count(*) FILTER (age > 28 AND age <= 56) AS p28,
    count(*) FILTER (age <= 91) AS n91,
    count(DISTINCT day) FILTER (age <= 28) AS active28,
    count(DISTINCT token) FILTER (age <= 28) AS tok28,
    count(DISTINCT user_id) FILTER (age <= 28) AS u28,
    count(DISTINCT user_id) FILTER (age <= 7) AS u7,
    count(DISTINCT user_id) FILTER (age > 7 AND age <= 14) AS up7,
    count(status) FILTER (age <= 7) AS a7, count(status) FILTER (age <= 28) AS a28,
    count(status) FILTER (age > 7 AND age <= 35) AS ap,
    count(*) FILTER (age <= 7 AND status >= 400) AS f7, count(*) FILTER (age <= 28 AND status >= 400) AS f28,
    count(*) FILTER (age > 7 AND age <= 35 AND status >= 400) AS fp,
    count(*) FILTER (age <= 28 AND status >= 500) AS s28,
    count(*) FILTER (age <= 28 AND status IN (401, 403)) AS auth28,
    count(*) FILTER (age <= 28 AND status = 429) AS thr28,
    count(*) FILTER (age <= 28 AND coalesce(status, 200) < 400) AS ok28,
    count(*) FILTER (age <= 28 AND latency_ms >= 1000) AS slow28, count(latency_ms) FILTER (age <= 28) AS lat28,
    quantile_disc(latency_ms, 0.5) FILTER (age <= 28) AS q50, quantile_disc(latency_ms, 0.95) FILTER (age <= 7) AS q957,
    quantile_disc(latency_ms, 0.95) FILTER (age <= 28) AS q95,
    quantile_disc(latency_ms, 0.95) FILTER (age > 7 AND age <= 35) AS q95p,
    count(DISTINCT (method, endpoint)) FILTER (age <= 7 AND coalesce(status, 200) < 400 AND endpoint IS NOT NULL) AS e7,
    count(DISTINCT (method, endpoint)) FILTER (age <= 28 AND coalesce(status, 200) < 400 AND endpoint IS NOT NULL) AS e28,
    count(*) FILTER (age <= 28 AND method IN ('POST', 'PUT', 'PATCH', 'DELETE')) AS writes,
    count(method) FILTER (age <= 28) AS methods
  FROM w GROUP BY 1),
weeks AS (
  SELECT e.account_id, k, (SELECT count(*) FROM w WHERE w.account_id = e.account_id AND age > 7 * k AND age <= 7 * k + 7) AS n
  FROM everybody e, range(13) AS r(k)),
trend AS (SELECT account_id, regr_slope(ln(1 + n), 12 - k) AS slope, max(n) AS best FROM weeks GROUP BY 1),
gaps AS (
  SELECT account_id, median(gap) AS gap, count(gap) AS gaps FROM (
    SELECT account_id, day - lag(day) OVER (PARTITION BY account_id ORDER BY day) AS gap
    FROM (SELECT DISTINCT account_id, day FROM w WHERE age <= 91)) GROUP BY 1),
top AS (SELECT account_id, max(n) / sum(n) AS share FROM (
    SELECT account_id, user_id, count(*) AS n FROM w WHERE age <= 28 AND user_id IS NOT NULL GROUP BY 1, 2) GROUP BY 1),
topend AS (SELECT account_id, max(n) / sum(n) AS share FROM (
    SELECT account_id, method, endpoint, count(*) AS n FROM w WHERE age <= 28 AND endpoint IS NOT NULL GROUP BY ALL) GROUP BY 1),
dropped AS (SELECT account_id, count(*) AS n FROM (
    SELECT account_id, method, endpoint FROM w WHERE endpoint IS NOT NULL AND coalesce(status, 200) < 400 AND age <= 56
    GROUP BY ALL HAVING min(age) > 28) GROUP BY 1),
bad AS (SELECT account_id, count(*) AS n FROM (
    SELECT account_id, day FROM w WHERE age <= 28 GROUP BY ALL
    HAVING count(*) >= 5 AND count(*) FILTER (status >= 400) / nullif(count(status), 0) >= 0.1) GROUP BY 1),
state AS (SELECT * FROM subs QUALIFY row_number() OVER (
    PARTITION BY account_id ORDER BY occurred_at DESC, known_at DESC, source_order DESC) = 1),
since AS (SELECT account_id, coalesce(max(occurred_at) FILTER (kind = 'reactivate'), min(occurred_at) FILTER (kind = 'start')) AS t
    FROM subs GROUP BY 1)
SELECT f.account_id,
  coalesce(n7, 0) AS calls_7d, coalesce(n28, 0) AS calls_28d, coalesce(n91, 0) AS calls_91d,
  coalesce(active28, 0) AS active_days_28d,
  CASE WHEN n7 + p7 > 0 AND since <= $c - INTERVAL 14 DAY AND log_day <= $c - INTERVAL 14 DAY THEN (n7 + 1) / (p7 + 1) END AS calls_7d_vs_prior_7d,
  CASE WHEN n28 + p28 > 0 AND since <= $c - INTERVAL 56 DAY AND log_day <= $c - INTERVAL 56 DAY THEN (n28 + 1) / (p28 + 1) END AS calls_28d_vs_prior_28d,
  CASE WHEN since <= $c - INTERVAL 91 DAY AND log_day <= $c - INTERVAL 91 DAY THEN slope END AS calls_weekly_slope_91d,
  CASE WHEN best > 0 AND log_day <= $c - INTERVAL 91 DAY THEN 1 - n7 / best END AS calls_drop_from_peak_91d,
  date_diff('microsecond', last_call, $c) / 86400e6 AS days_since_last_call,
  CASE WHEN gaps >= 2 THEN date_diff('microsecond', last_call, $c) / 86400e6 / gap END AS silence_vs_own_rhythm,
  coalesce(tok28, 0) AS active_tokens_28d, coalesce(u28, 0) AS active_users_28d,
  CASE WHEN u7 + up7 > 0 AND since <= $c - INTERVAL 14 DAY AND log_day <= $c - INTERVAL 14 DAY THEN (u7 + 1) / (up7 + 1) END AS active_users_7d_vs_prior_7d,
  top.share AS top_user_share_28d,
  f7 / nullif(a7, 0) AS error_rate_7d, f28 / nullif(a28, 0) AS error_rate_28d, s28 / nullif(a28, 0) AS server_error_rate_28d,
  auth28 / nullif(a28, 0) AS auth_error_rate_28d, thr28 / nullif(a28, 0) AS throttled_rate_28d,
  CASE WHEN a7 > 0 AND ap > 0 THEN ((f7 + 0.5::DOUBLE) / (a7 + 1)) / ((fp + 0.5::DOUBLE) / (ap + 1)) END AS error_rate_7d_vs_prior_28d,
  coalesce(bad.n, 0) AS error_days_28d,
  q50 AS latency_p50_ms_28d, q957 AS latency_p95_ms_7d, q95 AS latency_p95_ms_28d, q957 / nullif(q95p, 0) AS latency_p95_7d_vs_prior_28d,
  slow28 / nullif(lat28, 0) AS slow_call_share_28d,
  coalesce(e7, 0) AS endpoints_used_7d, coalesce(e28, 0) AS endpoints_used_28d,
  CASE WHEN e28 > 0 THEN (e28 <= 2)::INT END AS narrow_use_28d, topend.share AS top_endpoint_share_28d,
  coalesce(dropped.n, 0) AS endpoints_dropped_28d, writes / nullif(methods, 0) AS write_share_28d,
  plan, mrr, date_diff('microsecond', $c, term_end) / 86400e6 AS days_to_term_end,
  date_diff('microsecond', coalesce(since.t, accs.created_at), $c) / 86400e6 AS tenure_days,
  coalesce(ok28, 0) / nullif(quota_calls_per_month * (28 / 30.4375::DOUBLE), 0) AS quota_used_share_28d
FROM facts f LEFT JOIN c USING (account_id) LEFT JOIN trend USING (account_id) LEFT JOIN gaps USING (account_id)
LEFT JOIN top USING (account_id) LEFT JOIN topend USING (account_id) LEFT JOIN dropped USING (account_id)
LEFT JOIN bad USING (account_id) LEFT JOIN state USING (account_id) LEFT JOIN since USING (account_id)
LEFT JOIN accs USING (account_id)
"""


def a_random_world(log, seed):
    dice = random.Random(seed)
    begin = utc(2026, 1, 15)
    accounts = [f"acct_{number}" for number in range(25)]
    for account in accounts:
        rate, routes, broken = dice.lognormvariate(3.5, 1.2), dice.randint(1, 6), dice.choice([0.02, 0.1, 0.4])
        first, last = sorted(dice.uniform(0, 166) for _ in "ab")
        for _ in range(int(rate)):
            moment = begin + timedelta(microseconds=int(dice.uniform(first, last) * 86_400e6))
            late = dice.choice([0.0, 0.0, 0.0, dice.uniform(0, 3), dice.uniform(0, 40)])
            status = (
                dice.choice([400, 401, 403, 404, 429, 500, 503]) if dice.random() < broken else dice.choice([200, None])
            )
            log.add(
                "events",
                {
                    "account_id": account,
                    "event_time": moment,
                    "ingested_at": moment + timedelta(days=late),
                    "endpoint": dice.choice([None, *[f"/r{route}" for route in range(routes)] * 3]),
                    "method": dice.choice(["GET", "GET", "POST", "DELETE", None]),
                    "status": status,
                    "latency_ms": dice.choice([None, 0.0, 0.001, dice.lognormvariate(5, 2), 7_200_000.0]),
                    "token": dice.choice([None, "t1", "t2", account]),
                    "user_id": dice.choice([None, "u1", "u1", "u2", "u3"]),
                    "synthetic": dice.random() < 0.05,
                },
            )
        for version in range(dice.choice([0, 1, 2])):
            created = begin + dice.uniform(-300, 150) * DAY
            log.add(
                "accounts", {"account_id": account, "created_at": created, "known_at": created + version * 30 * DAY}
            )
        for number in range(dice.choice([0, 1, 4])):
            occurred = begin + dice.uniform(-200, 170) * DAY
            log.add(
                "subscriptions",
                {
                    "account_id": account,
                    "occurred_at": occurred,
                    "known_at": occurred + dice.choice([0, 0, 1, 20]) * DAY,
                    "kind": dice.choice(["start", "renew", "upgrade", "cancel", "reactivate"]),
                    "plan": dice.choice(["basic", "pro", None]),
                    "mrr": dice.choice([0.0, 99.5, None]),
                    "quota_calls_per_month": dice.choice([None, 0, 100]),
                    "term_end": dice.choice([None, occurred + 365 * DAY]),
                    "source_order": number,
                },
            )
    return log


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_feature_equals_the_plain_sql_from_raw_rows(log, seed):
    a_random_world(log, seed)
    made = log.table(*CUTOFFS)
    with duckdb.connect() as oracle:
        oracle.execute("SET TimeZone = 'UTC'")
        for table, folder in (
            ("events", "events/*/*"),
            ("accounts", "raw/accounts/*"),
            ("subscriptions", "raw/subscriptions/*"),
        ):
            columns = ", ".join(RAW_TABLES[table].schema.names)
            files = str(log.settings.home / f"{folder}.parquet")
            oracle.execute(
                f"CREATE TABLE {table} AS SELECT {columns} FROM read_parquet('{files}', hive_partitioning = false)"
            )
        expected = {}
        for cutoff in CUTOFFS:
            result = oracle.execute(ORACLE, {"c": cutoff})
            names = [column[0] for column in result.description]
            for values in result.fetchall():
                expected[values[0], cutoff] = dict(zip(names, values, strict=True))
    assert made.keys() == expected.keys()
    wrong = [
        (key, feature.name, made[key][feature.name], row[feature.name])
        for key, row in expected.items()
        for feature in CATALOG
        if not equal(made[key][feature.name], row[feature.name], APPROXIMATE.get(feature.name, 1e-9))
    ]
    assert wrong == []


@pytest.mark.slow
def test_the_oracle_sees_every_feature_with_and_without_a_value(log):
    rows = list(a_random_world(log, 1).table(*CUTOFFS).values())
    for feature in CATALOG:
        values = {row[feature.name] for row in rows}
        assert len(values - {None}) >= 2, feature.name


def equal(ours, theirs, tolerance):
    if ours is None or theirs is None or isinstance(theirs, str):
        return ours == theirs
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=1e-12)
