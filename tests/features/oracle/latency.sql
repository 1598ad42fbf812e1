WITH c AS (SELECT account_id,
    count(*) FILTER (age <= 28 AND latency_ms >= 1000) AS slow28, count(latency_ms) FILTER (age <= 28) AS lat28,
    quantile_disc(latency_ms, 0.5) FILTER (age <= 28) AS q50, quantile_disc(latency_ms, 0.95) FILTER (age <= 7) AS q957,
    quantile_disc(latency_ms, 0.95) FILTER (age <= 28) AS q95, quantile_disc(latency_ms, 0.99) FILTER (age <= 28) AS q99,
    quantile_disc(latency_ms, 0.95) FILTER (age > 7 AND age <= 35) AS q95p, max(latency_ms) FILTER (age <= 28) AS longest
  FROM known GROUP BY 1),
routed AS (SELECT * FROM known WHERE age <= 28 AND endpoint IS NOT NULL AND latency_ms IS NOT NULL),
service AS (SELECT method, endpoint, quantile_disc(latency_ms, 0.95) AS q95 FROM routed GROUP BY ALL),
usual AS (SELECT r.account_id, avg(s.q95) AS ms FROM routed r
  JOIN service s ON r.endpoint = s.endpoint AND r.method IS NOT DISTINCT FROM s.method GROUP BY 1)
SELECT e.account_id,
  q50 AS latency_p50_ms_28d, q957 AS latency_p95_ms_7d, q95 AS latency_p95_ms_28d, q99 AS latency_p99_ms_28d,
  q957 / nullif(q95p, 0) AS latency_p95_7d_vs_prior_28d, slow28 / nullif(lat28, 0) AS slow_call_share_28d,
  longest AS latency_max_ms_28d, q95 / nullif(usual.ms, 0) AS latency_p95_vs_service_28d
FROM everybody e LEFT JOIN c USING (account_id) LEFT JOIN usual USING (account_id)
