WITH c AS (SELECT account_id, count(*) FILTER (age <= 28 AND ok) AS ok28 FROM known GROUP BY 1),
state AS (SELECT * FROM subs QUALIFY row_number() OVER (
    PARTITION BY account_id ORDER BY occurred_at DESC, known_at DESC, source_order DESC) = 1),
since AS (SELECT account_id, coalesce(max(occurred_at) FILTER (kind = 'reactivate'), min(occurred_at) FILTER (kind = 'start')) AS t
    FROM subs GROUP BY 1)
SELECT e.account_id,
  plan, mrr, date_diff('microsecond', $c, term_end) / 86400e6 AS days_to_term_end,
  date_diff('microsecond', coalesce(since.t, accs.created_at), $c) / 86400e6 AS tenure_days,
  coalesce(ok28, 0) / nullif(quota_calls_per_month * (28 / 30.4375::DOUBLE), 0) AS quota_used_share_28d
FROM everybody e LEFT JOIN c USING (account_id) LEFT JOIN state USING (account_id) LEFT JOIN since USING (account_id)
LEFT JOIN accs USING (account_id)
