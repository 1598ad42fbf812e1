WITH lives AS (SELECT unnest([2, 4, 7, 14, 28, 56, 112]) AS h),
days AS (
  SELECT account_id, day, count(*) AS n, date_diff('microsecond', day + INTERVAL 12 HOUR, $c AT TIME ZONE 'UTC') / 86400e6 AS since
  FROM known WHERE age <= 364 GROUP BY 1, 2),
sums AS (
  SELECT account_id, h, ln(1 + sum(n * pow(0.5::DOUBLE, since / h))) AS calls, ln(1 + sum(pow(0.5::DOUBLE, since / h))) AS days
  FROM days, lives GROUP BY 1, 2),
each AS (
  SELECT account_id, h, coalesce(calls, 0) AS calls, coalesce(days, 0) AS days
  FROM (SELECT account_id, h FROM everybody, lives) LEFT JOIN sums USING (account_id, h))
SELECT account_id,
  max(calls) FILTER (h = 2) AS calls_ewma_2d, max(calls) FILTER (h = 4) AS calls_ewma_4d, max(calls) FILTER (h = 7) AS calls_ewma_7d,
  max(calls) FILTER (h = 14) AS calls_ewma_14d, max(calls) FILTER (h = 28) AS calls_ewma_28d,
  max(calls) FILTER (h = 56) AS calls_ewma_56d, max(calls) FILTER (h = 112) AS calls_ewma_112d,
  max(days) FILTER (h = 2) AS active_days_ewma_2d, max(days) FILTER (h = 4) AS active_days_ewma_4d, max(days) FILTER (h = 7) AS active_days_ewma_7d,
  max(days) FILTER (h = 14) AS active_days_ewma_14d, max(days) FILTER (h = 28) AS active_days_ewma_28d,
  max(days) FILTER (h = 56) AS active_days_ewma_56d, max(days) FILTER (h = 112) AS active_days_ewma_112d,
  max(days) FILTER (h = 4) - max(days) FILTER (h = 28) AS active_days_fade_4d_28d,
  max(days) FILTER (h = 7) - max(days) FILTER (h = 56) AS active_days_fade_7d_56d,
  max(days) FILTER (h = 14) - max(days) FILTER (h = 112) AS active_days_fade_14d_112d
FROM each GROUP BY 1
