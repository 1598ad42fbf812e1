WITH c AS (SELECT account_id,
    count(*) FILTER (age <= 7) AS n7, count(*) FILTER (age > 7 AND age <= 14) AS p7,
    count(*) FILTER (age <= 28) AS n28, count(*) FILTER (age > 28 AND age <= 56) AS p28,
    count(*) FILTER (age <= 91) AS n91, count(*) FILTER (age > 364 AND age <= 392) AS y28,
    count(*) FILTER (age <= 28 AND ok) AS ok28, count(*) FILTER (age <= 28 AND dayofweek(day) IN (0, 6)) AS weekend28,
    count(DISTINCT day) FILTER (age <= 7) AS active7, count(DISTINCT day) FILTER (age <= 28) AS active28,
    count(DISTINCT day) FILTER (age <= 91) AS active91,
    count(DISTINCT token) FILTER (age <= 28) AS tok28, count(DISTINCT token) FILTER (age <= 7) AS tok7,
    count(DISTINCT token) FILTER (age > 7 AND age <= 14) AS tokp7,
    count(DISTINCT user_id) FILTER (age <= 28) AS u28,
    count(DISTINCT user_id) FILTER (age <= 7) AS u7,
    count(DISTINCT user_id) FILTER (age > 7 AND age <= 14) AS up7
  FROM known GROUP BY 1),
weeks AS (
  SELECT e.account_id, k, (SELECT count(*) FROM known w WHERE w.account_id = e.account_id AND age > 7 * k AND age <= 7 * k + 7) AS n
  FROM everybody e, range(13) AS r(k)),
past AS (  -- the weeks before the last one, as far back as both the account and the log reach
  SELECT account_id, ln(1 + n) AS level FROM weeks JOIN facts USING (account_id)
  WHERE k >= 1 AND since <= $c - to_days((7 * k + 7)::INT) AND log_day <= $c - to_days((7 * k + 7)::INT)),
usual AS (SELECT account_id, median(level) AS middle, mad(level) AS spread, count(*) AS known FROM past GROUP BY 1),
days AS (  -- every one of the last 28 days, also the idle ones
  SELECT e.account_id, (SELECT count(*) FROM known w WHERE w.account_id = e.account_id AND w.day = ($c - to_days(d::INT))::DATE) AS n
  FROM everybody e, range(1, 29) AS r(d)),
swing AS (SELECT account_id, stddev_pop(n) / nullif(avg(n), 0) AS share FROM days GROUP BY 1),
trend AS (SELECT account_id, regr_slope(ln(1 + n), 12 - k) AS slope, max(n) AS best FROM weeks GROUP BY 1),
gaps AS (
  SELECT account_id, median(gap) AS gap, count(gap) AS gaps FROM (
    SELECT account_id, day - lag(day) OVER (PARTITION BY account_id ORDER BY day) AS gap
    FROM (SELECT DISTINCT account_id, day FROM known WHERE age <= 91)) GROUP BY 1),
top AS (SELECT account_id, max(n) / sum(n) AS share FROM (
    SELECT account_id, user_id, count(*) AS n FROM known WHERE age <= 28 AND user_id IS NOT NULL GROUP BY 1, 2) GROUP BY 1)
SELECT f.account_id,
  coalesce(n7, 0) AS calls_7d, coalesce(n28, 0) AS calls_28d, coalesce(n91, 0) AS calls_91d,
  coalesce(ok28, 0) AS successful_calls_28d,
  coalesce(active7, 0) AS active_days_7d, coalesce(active28, 0) AS active_days_28d, coalesce(active91, 0) AS active_days_91d,
  CASE WHEN n7 + p7 > 0 AND since <= $c - INTERVAL 14 DAY AND log_day <= $c - INTERVAL 14 DAY THEN (n7 + 1) / (p7 + 1) END AS calls_7d_vs_prior_7d,
  CASE WHEN n28 + p28 > 0 AND since <= $c - INTERVAL 56 DAY AND log_day <= $c - INTERVAL 56 DAY THEN (n28 + 1) / (p28 + 1) END AS calls_28d_vs_prior_28d,
  CASE WHEN n28 + y28 > 0 AND since <= $c - INTERVAL 392 DAY AND log_day <= $c - INTERVAL 392 DAY THEN (n28 + 1) / (y28 + 1) END AS calls_28d_vs_year_ago,
  CASE WHEN since <= $c - INTERVAL 91 DAY AND log_day <= $c - INTERVAL 91 DAY THEN slope END AS calls_weekly_slope_91d,
  CASE WHEN best > 0 AND log_day <= $c - INTERVAL 91 DAY THEN 1 - n7 / best END AS calls_drop_from_peak_91d,
  date_diff('microsecond', last_call, $c) / 86400e6 AS days_since_last_call,
  date_diff('microsecond', last_success, $c) / 86400e6 AS days_since_last_success,
  CASE WHEN gaps >= 2 THEN date_diff('microsecond', last_call, $c) / 86400e6 / gap END AS silence_vs_own_rhythm,
  CASE WHEN usual.known >= 6 THEN (ln(1 + coalesce(n7, 0)) - middle) / (1.4826::DOUBLE * spread + 0.1::DOUBLE) END AS usage_anomaly_z_7d,
  swing.share AS calls_volatility_28d, weekend28 / nullif(n28, 0) AS weekend_share_28d,
  coalesce(tok7, 0) AS active_tokens_7d, coalesce(tok28, 0) AS active_tokens_28d,
  CASE WHEN tok7 + tokp7 > 0 AND since <= $c - INTERVAL 14 DAY AND log_day <= $c - INTERVAL 14 DAY THEN (tok7 + 1) / (tokp7 + 1) END AS active_tokens_7d_vs_prior_7d,
  coalesce(u7, 0) AS active_users_7d, coalesce(u28, 0) AS active_users_28d,
  CASE WHEN u7 + up7 > 0 AND since <= $c - INTERVAL 14 DAY AND log_day <= $c - INTERVAL 14 DAY THEN (u7 + 1) / (up7 + 1) END AS active_users_7d_vs_prior_7d,
  top.share AS top_user_share_28d
FROM facts f LEFT JOIN c USING (account_id) LEFT JOIN trend USING (account_id) LEFT JOIN gaps USING (account_id)
LEFT JOIN top USING (account_id) LEFT JOIN usual USING (account_id) LEFT JOIN swing USING (account_id)
