WITH c AS (SELECT account_id, count(*) FILTER (kind = 'ticket_opened' AND age <= 28) AS t28,
    count(*) FILTER (kind = 'ticket_opened' AND age > 28 AND age <= 84) AS tp,
    count(*) FILTER (kind = 'ticket_opened') - count(*) FILTER (kind = 'ticket_closed') AS still,
    count(*) FILTER (kind = 'login' AND age <= 7) AS l7, count(*) FILTER (kind = 'login' AND age <= 28) AS l28,
    count(*) FILTER (kind = 'login' AND age > 28 AND age <= 56) AS lp,
    count(*) FILTER (kind = 'payment_failed' AND age <= 91) AS failed,
    max(occurred_at) FILTER (kind IN ('nps', 'csat') AND value IS NOT NULL) AS answered,
    arg_max(value, (occurred_at, known_at, -value)) FILTER (kind = 'nps' AND value IS NOT NULL) AS nps,
    arg_max(value, (occurred_at, known_at, -value)) FILTER (kind = 'csat' AND value IS NOT NULL) AS csat
  FROM tps GROUP BY 1),
log AS (SELECT count(*) > 0 AS there, min(occurred_at) FILTER (kind = 'login') AS first_login FROM tps)
SELECT f.account_id, CASE WHEN there THEN coalesce(t28, 0) END AS tickets_opened_28d,
  CASE WHEN there THEN greatest(0, coalesce(still, 0)) END AS tickets_open,
  CASE WHEN there THEN coalesce((tp >= 3 AND t28 = 0)::INT, 0) END AS ticket_silence_after_spike,
  nps AS nps_last, csat AS csat_last, date_diff('microsecond', answered, $c) / 86400e6 AS days_since_survey,
  CASE WHEN there THEN coalesce(l7, 0) END AS logins_7d, CASE WHEN there THEN coalesce(l28, 0) END AS logins_28d,
  CASE WHEN l28 + lp > 0 AND first_login <= $c - INTERVAL 56 DAY AND since <= $c - INTERVAL 56 DAY
    THEN (l28 + 1) / (lp + 1) END AS logins_28d_vs_prior_28d,
  CASE WHEN there THEN coalesce(failed, 0) END AS payment_failures_91d
FROM facts f CROSS JOIN log LEFT JOIN c USING (account_id)
