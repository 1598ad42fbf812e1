WITH routed AS (SELECT *, ok AND (endpoint = '/r3' OR (endpoint = '/r0' AND method = 'POST')) AS is_value
  FROM known WHERE endpoint IS NOT NULL),
c AS (SELECT account_id,
    count(*) FILTER (age <= 28 AND method IN ('POST', 'PUT', 'PATCH', 'DELETE')) AS writes,
    count(method) FILTER (age <= 28) AS methods
  FROM known GROUP BY 1),
used AS (SELECT account_id,
    count(DISTINCT (method, endpoint)) FILTER (age <= 7 AND ok) AS e7,
    count(DISTINCT (method, endpoint)) FILTER (age <= 28 AND ok) AS e28,
    count(DISTINCT (method, endpoint)) FILTER (age <= 91 AND ok) AS e91,
    count(*) FILTER (age <= 28 AND ok) AS ok28, count(*) FILTER (age <= 28 AND is_value) AS v28,
    max(event_time) FILTER (is_value) AS last_value
  FROM routed GROUP BY 1),
fleet AS (SELECT count(DISTINCT (method, endpoint)) AS n FROM routed WHERE age <= 28 AND ok),
shares AS (SELECT account_id, n / sum(n) OVER (PARTITION BY account_id) AS p FROM (
    SELECT account_id, method, endpoint, count(*) AS n FROM routed WHERE age <= 28 GROUP BY ALL)),
spread AS (SELECT account_id, max(p) AS top, -sum(p * ln(p)) AS entropy FROM shares GROUP BY 1),
both_windows AS (SELECT account_id, method, endpoint, min(age) AS newest, max(age) AS oldest FROM routed
    WHERE ok AND age <= 56 GROUP BY ALL),
moved AS (SELECT account_id, count(*) FILTER (newest > 28) AS dropped, count(*) FILTER (oldest <= 28) AS adopted
    FROM both_windows GROUP BY 1)
SELECT e.account_id,
  coalesce(e7, 0) AS endpoints_used_7d, coalesce(e28, 0) AS endpoints_used_28d, coalesce(e91, 0) AS endpoints_used_91d,
  CASE WHEN e28 > 0 THEN (e28 <= 2)::INT END AS narrow_use_28d,
  entropy AS endpoint_entropy_28d, top AS top_endpoint_share_28d,
  coalesce(dropped, 0) AS endpoints_dropped_28d, coalesce(adopted, 0) AS endpoints_adopted_28d,
  coalesce(e28, 0) / nullif(fleet.n, 0) AS endpoint_coverage_28d, writes / nullif(methods, 0) AS write_share_28d,
  coalesce(v28, 0) AS value_endpoint_calls_28d, v28 / nullif(ok28, 0) AS value_endpoint_share_28d,
  (last_value IS NOT NULL)::INT AS value_endpoint_reached,
  date_diff('microsecond', last_value, $c) / 86400e6 AS days_since_value_endpoint
FROM everybody e CROSS JOIN fleet LEFT JOIN c USING (account_id) LEFT JOIN used USING (account_id)
LEFT JOIN spread USING (account_id) LEFT JOIN moved USING (account_id)
