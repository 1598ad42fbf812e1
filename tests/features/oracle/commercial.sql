WITH c AS (SELECT account_id, count(*) FILTER (age <= 28 AND ok) AS ok28,
    count(*) FILTER (ok AND day >= date_trunc('month', $c)::DATE) AS to_date
  FROM known GROUP BY 1),
-- states: what tests/subscription_oracle.py makes of subs, account by account in plain Python.
state AS (SELECT * FROM states WHERE back = 0),
earlier AS (SELECT account_id, mrr AS mrr_then FROM states WHERE back = 91),
downs AS (SELECT account_id, count(*) FILTER (kind = 'downgrade' AND occurred_at >= $c - INTERVAL 364 DAY) AS downs
  FROM subs GROUP BY 1),
weeks AS (SELECT s.account_id, k, (SELECT count(*) FROM known w
      WHERE w.account_id = s.account_id AND ok AND age > 7 * k AND age <= 7 * k + 7) AS n
  FROM state s, range(13) AS r(k) WHERE quota > 0),
line AS (SELECT account_id, regr_slope(n, -k) AS slope, regr_intercept(n, -k) AS level, max(n) AS best, sum(n) AS total
  FROM weeks GROUP BY 1),
days AS (SELECT l.account_id, d, date_trunc('month', $c + to_days(d::INT)) AS month,
    greatest(0, least(2 * best, level + slope * (1 + d // 7))) / 7 * coalesce(7 * (SELECT count(*) FROM known w
      WHERE w.account_id = l.account_id AND ok AND age <= 91 AND dayofweek(day) = dayofweek($c + to_days(d::INT)))
      / nullif(total, 0), 0) AS calls
  FROM line l, range(91) AS r(d)),
forecast AS (SELECT d.account_id, d, calls, sum(calls) OVER (PARTITION BY d.account_id, month ORDER BY d)
    + CASE WHEN month = date_trunc('month', $c) THEN coalesce(to_date, 0) ELSE 0 END AS so_far
  FROM days d LEFT JOIN c USING (account_id)),
quotas AS (SELECT f.account_id, sum(calls) FILTER (d < 30) AS ahead, min(d) FILTER (so_far > quota + 1e-5) AS days
  FROM forecast f JOIN state USING (account_id)
  WHERE (SELECT min(day) FROM known) <= $c - INTERVAL 91 DAY GROUP BY 1)
SELECT e.account_id,
  plan, mrr, mrr / nullif(mrr_then, 0) AS mrr_growth_91d,
  CASE WHEN (SELECT count(*) FROM subs) > 0 THEN coalesce(changed, 0) END AS plan_changes_364d,
  CASE WHEN (SELECT count(*) FROM subs) > 0 THEN coalesce(downs, 0) END AS downgrades_364d,
  date_diff('microsecond', $c, term_end) / 86400e6 AS days_to_term_end,
  date_diff('microsecond', coalesce(since, accs.created_at), $c) / 86400e6 AS tenure_days,
  coalesce(ok28, 0) / nullif(quota * (28 / 30.4375::DOUBLE), 0) AS quota_used_share_28d,
  ahead / (quota * (30 / 30.4375::DOUBLE)) AS quota_forecast_share_30d, days AS days_to_quota,
  1000 * mrr / nullif(ok28, 0) AS cost_per_1k_success_28d
FROM everybody e LEFT JOIN c USING (account_id) LEFT JOIN state USING (account_id) LEFT JOIN earlier USING (account_id)
LEFT JOIN downs USING (account_id) LEFT JOIN quotas USING (account_id)
LEFT JOIN accs USING (account_id)
