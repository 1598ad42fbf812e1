WITH c AS (SELECT account_id,
    count(status) FILTER (age <= 7) AS a7, count(status) FILTER (age <= 28) AS a28,
    count(status) FILTER (age > 7 AND age <= 35) AS ap,
    count(*) FILTER (age <= 7 AND status >= 400) AS f7, count(*) FILTER (age <= 28 AND status >= 400) AS f28,
    count(*) FILTER (age > 7 AND age <= 35 AND status >= 400) AS fp,
    count(*) FILTER (age <= 28 AND status >= 500) AS s28,
    count(*) FILTER (age <= 28 AND status < 500 AND status >= 400 AND status NOT IN (401, 403, 429)) AS client28,
    count(*) FILTER (age <= 7 AND status IN (401, 403)) AS auth7,
    count(*) FILTER (age <= 28 AND status IN (401, 403)) AS auth28,
    count(*) FILTER (age <= 28 AND status = 429) AS thr28
  FROM known GROUP BY 1),
days AS (SELECT account_id, day, count(*) AS n, count(status) AS a, count(*) FILTER (status >= 400) AS f,
    date_diff('day', day::TIMESTAMPTZ, $c) AS days_ago FROM known GROUP BY ALL),
worst AS (SELECT account_id, max(f / nullif(a, 0)) AS rate FROM days WHERE n >= 20 AND days_ago <= 28 GROUP BY 1),
burst AS (SELECT account_id, min(days_ago) AS days_ago FROM days WHERE f >= 20 AND f / a >= 0.25 AND days_ago <= 91 GROUP BY 1),
failing AS (SELECT account_id, count(*) AS n FROM (
    SELECT account_id, method, endpoint FROM known WHERE age <= 28 AND endpoint IS NOT NULL GROUP BY ALL
    HAVING count(*) >= 10 AND count(*) FILTER (status >= 400) / nullif(count(status), 0) >= 0.2) GROUP BY 1),
bad AS (SELECT account_id, count(*) AS n FROM (
    SELECT account_id, day FROM known WHERE age <= 28 GROUP BY ALL
    HAVING count(*) >= 5 AND count(*) FILTER (status >= 400) / nullif(count(status), 0) >= 0.1) GROUP BY 1)
SELECT e.account_id,
  f7 / nullif(a7, 0) AS error_rate_7d, f28 / nullif(a28, 0) AS error_rate_28d, client28 / nullif(a28, 0) AS client_error_rate_28d,
  s28 / nullif(a28, 0) AS server_error_rate_28d,
  auth7 / nullif(a7, 0) AS auth_error_rate_7d, auth28 / nullif(a28, 0) AS auth_error_rate_28d, thr28 / nullif(a28, 0) AS throttled_rate_28d,
  CASE WHEN a7 > 0 AND ap > 0 THEN ((f7 + 0.5::DOUBLE) / (a7 + 1)) / ((fp + 0.5::DOUBLE) / (ap + 1)) END AS error_rate_7d_vs_prior_28d,
  coalesce(bad.n, 0) AS error_days_28d, worst.rate AS worst_daily_error_rate_28d,
  coalesce(failing.n, 0) AS failing_endpoints_28d, burst.days_ago AS days_since_last_error_burst
FROM everybody e LEFT JOIN c USING (account_id) LEFT JOIN bad USING (account_id)
LEFT JOIN worst USING (account_id) LEFT JOIN burst USING (account_id) LEFT JOIN failing USING (account_id)
