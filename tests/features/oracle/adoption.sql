WITH first AS (SELECT account_id, min(event_time) AS called, min(event_time) FILTER (ok) AS succeeded,
    min(event_time) FILTER (ok AND (endpoint = '/r3' OR (endpoint = '/r0' AND method = 'POST'))) AS reached
  FROM known GROUP BY 1),
regular AS (SELECT account_id, count(DISTINCT day) AS days FROM known JOIN first USING (account_id)
  WHERE day >= reached::DATE GROUP BY 1),
sold AS (SELECT account_id, min(occurred_at) AS sold_at FROM subs GROUP BY 1),
signed AS (SELECT *, least(created_at, sold_at) AS since, (SELECT min(day) FROM known)::TIMESTAMPTZ AS log_start
  FROM everybody LEFT JOIN accs USING (account_id) LEFT JOIN sold USING (account_id) LEFT JOIN first USING (account_id)),
steps AS (SELECT *, days >= 5 AS arrived, called >= created_at AND since >= log_start AS dated,
    CASE WHEN since < log_start OR log_start IS NULL THEN false
      WHEN since <= coalesce(called, since) THEN true
      ELSE date_diff('microsecond', log_start, called) >= 28 * 86400e6 END AS whole
  FROM signed LEFT JOIN regular USING (account_id))
SELECT account_id, date_diff('microsecond', created_at, $c) / 86400e6 AS account_age_days,
  CASE WHEN dated THEN date_diff('microsecond', created_at, called) / 3600e6 END AS hours_to_first_call,
  CASE WHEN dated THEN date_diff('microsecond', created_at, succeeded) / 3600e6 END AS hours_to_first_success,
  CASE WHEN dated THEN date_diff('microsecond', created_at, reached) / 3600e6 END AS hours_to_first_value_call,
  CASE WHEN arrived THEN 4 ELSE (called IS NOT NULL)::INT + (succeeded IS NOT NULL)::INT + (reached IS NOT NULL)::INT END AS onboarding_stage,
  CASE WHEN arrived IS NOT TRUE AND whole
    THEN date_diff('microsecond', coalesce(reached, succeeded, called, created_at), $c) / 86400e6 END AS days_in_stage
FROM steps
