"""Random traffic straight into an event store: 180 days of skewed accounts, some of it late or synthetic."""

from pathlib import Path

import duckdb

from features.storage.store import ManifestStore
from features.windows import DAY, cutoffs_between, utc

FIRST_DAY = utc(2026, 1, 1)
DAYS = 180
CUTOFFS = 26
VALUE_ENDPOINT = "POST /v1/orders"

MAKE_DAY = """
COPY (
  WITH dice AS (SELECT (random() * random() * {accounts})::INT AS account, (random() * 86400e6)::BIGINT AS us,
    random() AS a, random() AS b, random() AS c, random() AS d, random() AS e, random() AS f FROM range({events}))
  SELECT NULL::VARCHAR AS event_id, 'acct_' || lpad(account::VARCHAR, 6, '0') AS account_id,
    make_timestamptz({midnight} + us) AS event_time,
    make_timestamptz({midnight} + us + (CASE WHEN a < 0.02 THEN b * 3 * 86400e6 ELSE b * 60e6 END)::BIGINT) AS ingested_at,
    '/v1/' || ['orders', 'items', 'users', 'carts', 'pay', 'refund', 'search', 'export', 'hooks', 'keys']
      [1 + ((account + floor(10 * c * c)) % 10)::INT] AS endpoint,
    ['GET', 'POST', 'GET', 'PUT'][1 + floor(c * 4)::INT] AS method,
    (CASE WHEN d < 0.93 THEN 200 WHEN d < 0.95 THEN 404 WHEN d < 0.96 THEN 401 WHEN d < 0.97 THEN 429
      WHEN d < 0.99 THEN 500 END)::SMALLINT AS status,
    CASE WHEN e >= 0.01 THEN exp(4 + sqrt(-2 * ln(e)) * cos(6.28 * f) * 0.7) END AS latency_ms,
    md5(account::VARCHAR || 't' || floor(b * 3)) AS token, md5(account::VARCHAR || 'u' || floor(f * f * 12)) AS user_id,
    'python' AS sdk, '1.' || (account % 5) AS sdk_version, a > 0.995 AS synthetic
  FROM dice ORDER BY account_id, event_time) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""


def make_events(home: Path, events: int) -> None:
    """Make a store of random traffic: 2 % late by up to three days, 0.5 % synthetic, an account per 1,000 events."""
    accounts = max(events // 1000, 10)
    with duckdb.connect() as engine, ManifestStore(home / "events").writer() as writer:
        engine.execute("SET enable_progress_bar = false; SET threads = 2; SET TimeZone = 'UTC'")
        for number in range(DAYS):
            day = FIRST_DAY + number * DAY
            path = writer.scratch / str(number)
            engine.execute(f"SELECT setseed({number / 1000})").fetchall()
            made = {
                "accounts": accounts,
                "events": events // DAYS,
                "midnight": int(day.timestamp()) * 10**6,
                "path": path,
            }
            engine.execute(MAKE_DAY.format(**made)).fetchall()
            writer.replace(f"day={day.date()}", {"events": path})


def cutoffs() -> list:
    """The newest 26 Mondays the log reaches."""
    return list(cutoffs_between(FIRST_DAY, FIRST_DAY + DAYS * DAY))[-CUTOFFS:]
