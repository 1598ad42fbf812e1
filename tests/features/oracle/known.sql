-- What is known at the cutoff $c, straight from the raw tables: every group's query reads these tables.
CREATE OR REPLACE TEMP TABLE known AS
SELECT *, event_time::DATE AS day, date_diff('microsecond', event_time, $c) / 86400e6 AS age,
  coalesce(status, 200) < 400 AS ok
FROM events WHERE NOT synthetic AND event_time < $c AND ingested_at < $c + INTERVAL 6 HOUR;

CREATE OR REPLACE TEMP TABLE subs AS
SELECT * FROM subscriptions WHERE occurred_at < $c AND known_at < $c + INTERVAL 6 HOUR;

CREATE OR REPLACE TEMP TABLE tps AS
SELECT *, date_diff('microsecond', occurred_at, $c) / 86400e6 AS age FROM touchpoints
WHERE occurred_at < $c AND known_at < $c + INTERVAL 6 HOUR
QUALIFY known_at = max(known_at) OVER (PARTITION BY account_id, occurred_at, kind);

CREATE OR REPLACE TEMP TABLE accs AS
SELECT account_id, arg_max(created_at, known_at) AS created_at FROM accounts
WHERE known_at < $c + INTERVAL 6 HOUR AND created_at < $c GROUP BY 1;

CREATE OR REPLACE TEMP TABLE everybody AS
SELECT account_id FROM known UNION SELECT account_id FROM subs UNION SELECT account_id FROM accs;

CREATE OR REPLACE TEMP TABLE facts AS
SELECT e.account_id,
  (SELECT min(m) FROM (VALUES
     ((SELECT min(event_time) FROM known k WHERE k.account_id = e.account_id)),
     ((SELECT min(occurred_at) FROM subs s WHERE s.account_id = e.account_id)),
     ((SELECT created_at FROM accs a WHERE a.account_id = e.account_id))) AS v(m)) AS since,
  (SELECT min(day) FROM known) AS log_day,
  (SELECT max(event_time) FROM known k WHERE k.account_id = e.account_id) AS last_call,
  (SELECT max(event_time) FROM known k WHERE k.account_id = e.account_id AND ok) AS last_success
FROM everybody e;
