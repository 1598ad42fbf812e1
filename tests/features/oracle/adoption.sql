WITH first AS (SELECT account_id, min(event_time) AS called, min(event_time) FILTER (ok) AS succeeded,
    min(event_time) FILTER (ok AND (endpoint = '/r3' OR (endpoint = '/r0' AND method = 'POST'))) AS reached
  FROM known GROUP BY 1),
regular AS (SELECT account_id, count(DISTINCT day) AS days FROM known JOIN first USING (account_id)
  WHERE day >= reached::DATE GROUP BY 1),
steps AS (SELECT *, days >= 5 AS arrived, called >= created_at AND created_at >= (SELECT min(day) FROM known)::TIMESTAMPTZ AS dated
  FROM everybody LEFT JOIN accs USING (account_id) LEFT JOIN first USING (account_id) LEFT JOIN regular USING (account_id))
SELECT account_id, date_diff('microsecond', created_at, $c) / 86400e6 AS account_age_days,
  CASE WHEN dated THEN date_diff('microsecond', created_at, called) / 3600e6 END AS hours_to_first_call,
  CASE WHEN dated THEN date_diff('microsecond', created_at, succeeded) / 3600e6 END AS hours_to_first_success,
  CASE WHEN dated THEN date_diff('microsecond', created_at, reached) / 3600e6 END AS hours_to_first_value_call,
  CASE WHEN arrived THEN 4 ELSE (called IS NOT NULL)::INT + (succeeded IS NOT NULL)::INT + (reached IS NOT NULL)::INT END AS onboarding_stage,
  CASE WHEN arrived THEN NULL
    ELSE date_diff('microsecond', coalesce(reached, succeeded, called, created_at), $c) / 86400e6 END AS days_in_stage
FROM steps
