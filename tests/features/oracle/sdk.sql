WITH used AS (SELECT account_id, sdk, coalesce(sdk_version, '') AS v, count(*) FILTER (age <= 28) AS n,
    count(*) FILTER (age > 28) AS p FROM known WHERE sdk IS NOT NULL AND age <= 56 GROUP BY ALL),
by_name AS (SELECT account_id, sdk, sum(n) AS n FROM used WHERE n > 0 GROUP BY ALL),
main AS (SELECT account_id, first(sdk ORDER BY n DESC, sdk) AS sdk, count(*) AS names FROM by_name GROUP BY 1),
here AS (SELECT account_id, first((sdk, v) ORDER BY n DESC, sdk, v) AS pair FROM used WHERE n > 0 GROUP BY 1
  UNION ALL SELECT account_id, first((sdk, v) ORDER BY p DESC, sdk, v) FROM used
    WHERE account_id NOT IN (SELECT account_id FROM used WHERE n > 0) GROUP BY 1),
before AS (SELECT account_id, first((sdk, v) ORDER BY p DESC, sdk, v) AS pair FROM used WHERE p > 0 GROUP BY 1),
there AS (SELECT account_id, count(*) FILTER (age <= 28) = 0 AS silent FROM known WHERE age <= 56
  GROUP BY 1 HAVING count(*) FILTER (age > 28) > 0),
fleet AS (SELECT avg(silent::INT) AS p FROM there),
excess AS (SELECT h.account_id, fleet.p, (SELECT count(*) FROM there JOIN before b USING (account_id)
      WHERE b.pair = h.pair AND account_id <> h.account_id) AS n,
    (SELECT count(*) FROM there JOIN before b USING (account_id)
      WHERE silent AND b.pair = h.pair AND account_id <> h.account_id) AS s
  FROM here h CROSS JOIN fleet),
seen AS (SELECT sdk, sdk_version AS v, min(event_time) AS since, list_transform(range(3), lambda i:
    coalesce(nullif(split_part(sdk_version, '.', i + 1), ''), '0')::INT) AS place
  FROM known WHERE regexp_full_match(sdk_version, '[0-9.]+') GROUP BY ALL),
newer AS (SELECT a.sdk, a.v, min(b.since) AS since FROM seen a JOIN seen b ON a.sdk = b.sdk AND b.place > a.place GROUP BY ALL)
SELECT e.account_id, main.sdk AS main_sdk_28d,
  CASE WHEN (SELECT count(sdk) FROM known) > 0 THEN coalesce(names, 0) END AS sdk_count_28d,
  (s + 20 * p) / (n + 20) - p AS sdk_dropoff_excess,
  CASE WHEN date_diff('microsecond', (SELECT min(day) FROM known)::TIMESTAMPTZ, newer.since) >= 28 * 86400e6
    THEN date_diff('microsecond', newer.since, $c) / 86400e6 END AS sdk_version_age_days
FROM everybody e LEFT JOIN main USING (account_id) LEFT JOIN here USING (account_id) LEFT JOIN excess USING (account_id)
LEFT JOIN newer ON here.pair = (newer.sdk, newer.v)
