WITH c AS (SELECT account_id,
    count(*) FILTER (age <= 28 AND latency_ms >= 1000) AS slow28, count(latency_ms) FILTER (age <= 28) AS lat28,
    quantile_disc(latency_ms, 0.5) FILTER (age <= 28) AS q50, quantile_disc(latency_ms, 0.95) FILTER (age <= 7) AS q957,
    quantile_disc(latency_ms, 0.95) FILTER (age <= 28) AS q95,
    quantile_disc(latency_ms, 0.95) FILTER (age > 7 AND age <= 35) AS q95p
  FROM known GROUP BY 1)
SELECT e.account_id,
  q50 AS latency_p50_ms_28d, q957 AS latency_p95_ms_7d, q95 AS latency_p95_ms_28d,
  q957 / nullif(q95p, 0) AS latency_p95_7d_vs_prior_28d, slow28 / nullif(lat28, 0) AS slow_call_share_28d
FROM everybody e LEFT JOIN c USING (account_id)
