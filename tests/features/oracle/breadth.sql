WITH c AS (SELECT account_id,
    count(DISTINCT (method, endpoint)) FILTER (age <= 7 AND ok AND endpoint IS NOT NULL) AS e7,
    count(DISTINCT (method, endpoint)) FILTER (age <= 28 AND ok AND endpoint IS NOT NULL) AS e28,
    count(*) FILTER (age <= 28 AND method IN ('POST', 'PUT', 'PATCH', 'DELETE')) AS writes,
    count(method) FILTER (age <= 28) AS methods
  FROM known GROUP BY 1),
topend AS (SELECT account_id, max(n) / sum(n) AS share FROM (
    SELECT account_id, method, endpoint, count(*) AS n FROM known WHERE age <= 28 AND endpoint IS NOT NULL GROUP BY ALL) GROUP BY 1),
dropped AS (SELECT account_id, count(*) AS n FROM (
    SELECT account_id, method, endpoint FROM known WHERE endpoint IS NOT NULL AND ok AND age <= 56
    GROUP BY ALL HAVING min(age) > 28) GROUP BY 1)
SELECT e.account_id,
  coalesce(e7, 0) AS endpoints_used_7d, coalesce(e28, 0) AS endpoints_used_28d,
  CASE WHEN e28 > 0 THEN (e28 <= 2)::INT END AS narrow_use_28d, topend.share AS top_endpoint_share_28d,
  coalesce(dropped.n, 0) AS endpoints_dropped_28d, writes / nullif(methods, 0) AS write_share_28d
FROM everybody e LEFT JOIN c USING (account_id) LEFT JOIN topend USING (account_id) LEFT JOIN dropped USING (account_id)
