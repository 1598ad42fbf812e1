"""One hand-written DuckDB script from event files to feature values: what rollup and build are measured against."""

from pathlib import Path

import duckdb

from features.definitions.catalog import features_of_group
from features.definitions.recency import FADES, HALF_LIVES
from features.storage.store import ManifestStore
from features.windows import DAY
from tests.benchmarks.traffic import VALUE_ENDPOINT, cutoffs

SCRIPT = """
WITH ev AS MATERIALIZED (
  SELECT account_id, (epoch_us(event_time) // 86400000000)::INT AS day, event_time, method, endpoint, status, latency_ms,
    token, user_id, sdk, sdk_version, {c} - (epoch_us(event_time) // 86400000000)::INT AS age
  FROM read_parquet({files}, hive_partitioning = false)
  WHERE NOT synthetic AND event_time < $c AND ingested_at < $c + INTERVAL 6 HOUR),
days AS MATERIALIZED (
  SELECT account_id, (epoch_us(event_time) // 86400000000)::INT AS day, count(*) AS n, min(event_time) AS first_call, max(event_time) AS last_call,
    min(event_time) FILTER (status IS NULL OR status < 400) AS first_ok, max(event_time) FILTER (status IS NULL OR status < 400) AS last_ok,
    min(event_time) FILTER ((status IS NULL OR status < 400) AND {value}) AS first_value,
    max(event_time) FILTER ((status IS NULL OR status < 400) AND {value}) AS last_value FROM read_parquet({history}, hive_partitioning = false)
  WHERE NOT synthetic AND event_time < $c AND ingested_at < $c + INTERVAL 6 HOUR GROUP BY 1, 2),
history AS (SELECT account_id, min(first_call) AS first_call, max(last_call) AS last_call, min(first_ok) AS first_ok, max(last_ok) AS last_ok,
    min(first_value) AS first_value, max(last_value) AS last_value FROM days GROUP BY 1),
fading AS (SELECT account_id, {fading} FROM days WHERE day >= {c} - 364 GROUP BY 1),
settled AS (SELECT account_id, count(*) >= 5 AS arrived FROM days JOIN history USING (account_id)
  WHERE day >= epoch_us(history.first_value) // 86400000000 GROUP BY 1),
population AS (SELECT *, min(first_call) OVER ()::DATE AS log_start FROM history),
daily AS MATERIALIZED (SELECT account_id, age, count(*) AS n, count(status) AS a, count(*) FILTER (status >= 400) AS f,
    count(*) FILTER (status >= 500) AS s, count(*) FILTER (status IN (401, 403)) AS au, count(*) FILTER (status = 429) AS th,
    count(*) FILTER (status < 500 AND status >= 400 AND status NOT IN (401, 403, 429)) AS cl,
    count(latency_ms) AS lat, count(*) FILTER (latency_ms >= 1000) AS slow FROM ev GROUP BY 1, 2),
sums AS (SELECT account_id, {weeks},
    sum(n) FILTER (age > 364) AS y28, count(*) FILTER (age <= 7) AS active7, count(*) FILTER (age <= 28) AS active28,
    count(*) FILTER (age <= 91) AS active91, sum(n - f) FILTER (age <= 28) AS ok28,
    sqrt(28 * sum(n * n) FILTER (age <= 28) - sum(n) FILTER (age <= 28) ** 2) / sum(n) FILTER (age <= 28) AS volatility,
    sum(n) FILTER (age <= 28 AND ({c} - age - 4) % 7 >= 5) AS weekend28, sum(au) FILTER (age <= 7) AS au7,
    sum(cl) FILTER (age <= 28) AS cl28, max(f / nullif(a, 0)) FILTER (age <= 28 AND n >= 20) AS worst,
    min(age) FILTER (age <= 91 AND f >= 20 AND f * 4 >= a) AS burst, sum(a) FILTER (age <= 7) AS a7, sum(a) FILTER (age <= 28) AS a28,
    sum(a) FILTER (age BETWEEN 8 AND 35) AS ap, sum(f) FILTER (age <= 7) AS f7, sum(f) FILTER (age <= 28) AS f28,
    sum(f) FILTER (age BETWEEN 8 AND 35) AS fp, sum(s) FILTER (age <= 28) AS s28, sum(au) FILTER (age <= 28) AS au28,
    sum(th) FILTER (age <= 28) AS th28, count(*) FILTER (age <= 28 AND n >= 5 AND f > 0 AND f * 10 >= a) AS bad,
    sum(slow) FILTER (age <= 28) AS slow28, sum(lat) FILTER (age <= 28) AS lat28
  FROM daily GROUP BY 1),
gaps AS (SELECT account_id, median(gap) AS gap FROM (
    SELECT account_id, age - lag(age) OVER (PARTITION BY account_id ORDER BY age) AS gap FROM daily WHERE age <= 91)
  GROUP BY 1 HAVING count(gap) >= 2),
tokens AS (SELECT account_id, count(*) AS n, count(*) FILTER (low <= 7) AS t7, count(*) FILTER (prior) AS tp7
  FROM (SELECT account_id, token, min(age) AS low, bool_or(age BETWEEN 8 AND 14) AS prior
    FROM ev WHERE age <= 28 AND token IS NOT NULL GROUP BY 1, 2) GROUP BY 1),
users AS (SELECT account_id, count(*) AS n, count(*) FILTER (low <= 7) AS u7, count(*) FILTER (prior) AS up7, max(n) / sum(n) AS top
  FROM (SELECT account_id, user_id, count(*) AS n, min(age) AS low, bool_or(age BETWEEN 8 AND 14) AS prior
    FROM ev WHERE age <= 28 AND user_id IS NOT NULL GROUP BY 1, 2) GROUP BY 1),
pairs AS MATERIALIZED (SELECT account_id, method, endpoint, count(*) FILTER (age <= 28) AS n,
    count(status) FILTER (age <= 28) AS a, count(*) FILTER (age <= 28 AND status >= 400) AS f,
    count(latency_ms) FILTER (age <= 28) AS lat, count(*) FILTER (status IS NULL OR status < 400) AS ok91,
    count(*) FILTER (age <= 7 AND (status IS NULL OR status < 400)) AS ok7,
    count(*) FILTER (age <= 28 AND (status IS NULL OR status < 400)) AS ok28,
    count(*) FILTER (age BETWEEN 29 AND 56 AND (status IS NULL OR status < 400)) AS okp
  FROM ev WHERE age <= 91 GROUP BY 1, 2, 3),
routes AS (SELECT account_id, count(*) FILTER (ok7 > 0) AS e7, count(*) FILTER (ok28 > 0) AS e28, count(*) FILTER (ok91 > 0) AS e91,
    count(*) FILTER (ok28 > 0 AND okp = 0) AS adopted, sum(ok28) AS okroutes, sum(ok28) FILTER ({value}) AS v28,
    CASE WHEN sum(n) > 0 THEN ln(sum(n)) - sum(n * ln(greatest(n, 1))) / sum(n) END AS entropy,
    count(*) FILTER (endpoint IS NOT NULL AND n >= 10 AND f > 0 AND f * 5 >= a) AS failing,
    count(*) FILTER (okp > 0 AND ok28 = 0) AS dropped, max(n) / nullif(sum(n), 0) AS top,
    coalesce(sum(n) FILTER (method IN ('POST', 'PUT', 'PATCH', 'DELETE')), 0) / nullif(sum(n), 0) AS writes
  FROM pairs GROUP BY 1),
fleet AS (SELECT count(DISTINCT (method, endpoint)) AS used FROM pairs WHERE ok28 > 0),
service AS (SELECT method, endpoint, quantile_disc(latency_ms, 0.95) AS q95 FROM ev
  WHERE age <= 28 AND latency_ms IS NOT NULL GROUP BY 1, 2),
usual AS (SELECT account_id, sum(lat * q95) / nullif(sum(lat), 0) AS usual95 FROM pairs JOIN service USING (method, endpoint) GROUP BY 1),
latency AS (SELECT account_id, quantile_disc(latency_ms, 0.5) FILTER (age <= 28) AS q50,
    quantile_disc(latency_ms, 0.95) FILTER (age <= 7) AS q957, quantile_disc(latency_ms, 0.95) FILTER (age <= 28) AS q95,
    quantile_disc(latency_ms, 0.99) FILTER (age <= 28) AS q99, max(latency_ms) FILTER (age <= 28) AS longest,
    quantile_disc(latency_ms, 0.95) FILTER (age > 7) AS q95p FROM ev WHERE age <= 35 AND latency_ms IS NOT NULL GROUP BY 1),
used AS MATERIALIZED (SELECT account_id, sdk, coalesce(sdk_version, '') AS v, count(*) FILTER (age <= 28) AS n,
    count(*) FILTER (age > 28) AS p FROM ev WHERE age <= 56 AND sdk IS NOT NULL GROUP BY 1, 2, 3),
main AS (SELECT account_id, arg_max(sdk, n) AS sdk, count(*) AS sdks
  FROM (SELECT account_id, sdk, sum(n) AS n FROM used GROUP BY 1, 2 HAVING sum(n) > 0) GROUP BY 1),
release AS (SELECT account_id, max(p) > 0 AS was_there, arg_max((sdk, v), (n, if(n > 0, 0, p))) AS here,
  arg_max((sdk, v), p) FILTER (p > 0) AS before FROM used GROUP BY 1),
there AS MATERIALIZED (SELECT account_id, before, w0 IS NULL AND w1 IS NULL AND w2 IS NULL AND w3 IS NULL AS silent
  FROM sums LEFT JOIN release USING (account_id) WHERE coalesce(w4, w5, w6, w7) IS NOT NULL),
all_there AS (SELECT avg(silent::INT) AS share FROM there),
releases AS (SELECT before, count(*) AS n, count(*) FILTER (silent) AS s FROM there GROUP BY 1),
seen AS (SELECT sdk, sdk_version AS v, min(event_time) AS since, list_transform(split(sdk_version, '.'), lambda part: part::INT) AS place
  FROM read_parquet({history}, hive_partitioning = false)
  WHERE NOT synthetic AND event_time < $c AND ingested_at < $c + INTERVAL 6 HOUR AND sdk IS NOT NULL GROUP BY 1, 2),
newer AS (SELECT (a.sdk, a.v) AS here, min(b.since) AS since FROM seen a JOIN seen b ON a.sdk = b.sdk AND b.place > a.place GROUP BY 1)
SELECT account_id, coalesce(w0, 0) AS calls_7d, {n28} AS calls_28d, {n91} AS calls_91d, coalesce(ok28, 0) AS successful_calls_28d,
  coalesce(active7, 0) AS active_days_7d, coalesce(active28, 0) AS active_days_28d, coalesce(active91, 0) AS active_days_91d,
  CASE WHEN {w0} + {w1} > 0 AND {old14} THEN ({w0} + 1) / ({w1} + 1) END AS calls_7d_vs_prior_7d,
  CASE WHEN {n28} + {p28} > 0 AND {old56} THEN ({n28} + 1) / ({p28} + 1) END AS calls_28d_vs_prior_28d,
  CASE WHEN {n28} + coalesce(y28, 0) > 0 AND {old392} THEN ({n28} + 1) / (coalesce(y28, 0) + 1) END AS calls_28d_vs_year_ago,
  CASE WHEN {old91} THEN ({slope}) / 182 END AS calls_weekly_slope_91d,
  CASE WHEN log_start <= $c - INTERVAL 91 DAY THEN 1 - {w0} / nullif(greatest({all_weeks}), 0) END AS calls_drop_from_peak_91d,
  (epoch_us($c) - epoch_us(last_call)) / 86400e6 AS days_since_last_call,
  (epoch_us($c) - epoch_us(last_ok)) / 86400e6 AS days_since_last_success,
  CASE WHEN {old49} THEN (ln(1 + {w0}) - list_median({before})) / (1.4826 * list_mad({before}) + 0.1) END AS usage_anomaly_z_7d,
  volatility AS calls_volatility_28d, coalesce(weekend28, 0) / nullif({n28}, 0) AS weekend_share_28d,
  (epoch_us($c) - epoch_us(last_call)) / 86400e6 / gap AS silence_vs_own_rhythm,
  coalesce(t7, 0) AS active_tokens_7d, coalesce(tokens.n, 0) AS active_tokens_28d,
  CASE WHEN t7 + tp7 > 0 AND {old14} THEN (t7 + 1) / (tp7 + 1) END AS active_tokens_7d_vs_prior_7d,
  coalesce(u7, 0) AS active_users_7d, coalesce(users.n, 0) AS active_users_28d,
  CASE WHEN u7 + up7 > 0 AND {old14} THEN (u7 + 1) / (up7 + 1) END AS active_users_7d_vs_prior_7d, users.top AS top_user_share_28d,
  f7 / nullif(a7, 0) AS error_rate_7d, f28 / nullif(a28, 0) AS error_rate_28d, cl28 / nullif(a28, 0) AS client_error_rate_28d,
  s28 / nullif(a28, 0) AS server_error_rate_28d, au7 / nullif(a7, 0) AS auth_error_rate_7d,
  au28 / nullif(a28, 0) AS auth_error_rate_28d, th28 / nullif(a28, 0) AS throttled_rate_28d,
  CASE WHEN a7 > 0 AND ap > 0 THEN ((f7 + 0.5::DOUBLE) / (a7 + 1)) / ((fp + 0.5::DOUBLE) / (ap + 1)) END AS error_rate_7d_vs_prior_28d,
  coalesce(bad, 0) AS error_days_28d, worst AS worst_daily_error_rate_28d, coalesce(failing, 0) AS failing_endpoints_28d,
  burst AS days_since_last_error_burst, q50 AS latency_p50_ms_28d, q957 AS latency_p95_ms_7d, q95 AS latency_p95_ms_28d,
  q957 / q95p AS latency_p95_7d_vs_prior_28d, slow28 / nullif(lat28, 0) AS slow_call_share_28d,
  q99 AS latency_p99_ms_28d, longest AS latency_max_ms_28d, q95 / usual95 AS latency_p95_vs_service_28d,
  coalesce(e7, 0) AS endpoints_used_7d, coalesce(e28, 0) AS endpoints_used_28d, coalesce(e91, 0) AS endpoints_used_91d,
  entropy AS endpoint_entropy_28d, coalesce(adopted, 0) AS endpoints_adopted_28d,
  coalesce(e28, 0) / nullif(fleet.used, 0) AS endpoint_coverage_28d, coalesce(v28, 0) AS value_endpoint_calls_28d,
  coalesce(v28, 0) / nullif(okroutes, 0) AS value_endpoint_share_28d, (last_value IS NOT NULL)::INT AS value_endpoint_reached,
  (epoch_us($c) - epoch_us(last_value)) / 86400e6 AS days_since_value_endpoint,
  CASE WHEN e28 > 0 THEN (e28 <= 2)::INT END AS narrow_use_28d, routes.top AS top_endpoint_share_28d,
  coalesce(dropped, 0) AS endpoints_dropped_28d, writes AS write_share_28d, NULL::VARCHAR AS plan, NULL::DOUBLE AS mrr,
  NULL::DOUBLE AS days_to_term_end, NULL::DOUBLE AS tenure_days, NULL::DOUBLE AS quota_used_share_28d,
  NULL::DOUBLE AS mrr_growth_91d, NULL::BIGINT AS plan_changes_364d, NULL::BIGINT AS downgrades_364d,
  NULL::DOUBLE AS quota_forecast_share_30d, NULL::BIGINT AS days_to_quota, NULL::DOUBLE AS cost_per_1k_success_28d,
  NULL::DOUBLE AS account_age_days, NULL::DOUBLE AS hours_to_first_call, NULL::DOUBLE AS hours_to_first_success,
  NULL::DOUBLE AS hours_to_first_value_call,
  CASE WHEN arrived THEN 4 ELSE 1 + (first_ok IS NOT NULL)::INT + (first_value IS NOT NULL)::INT END AS onboarding_stage,
  CASE WHEN arrived IS NOT TRUE AND first_call >= log_start + INTERVAL 28 DAY
    THEN (epoch_us($c) - epoch_us(coalesce(first_value, first_ok, first_call))) / 86400e6 END AS days_in_stage,
  main.sdk AS main_sdk_28d, coalesce(sdks, 0) AS sdk_count_28d,
  CASE WHEN release.here IS NOT NULL THEN (coalesce(s, 0) - own * silent::INT - (coalesce(releases.n, 0) - own) * all_there.share)
    / (coalesce(releases.n, 0) - own + 20) END AS sdk_dropoff_excess,
  CASE WHEN newer.since >= log_start + INTERVAL 28 DAY THEN (epoch_us($c) - epoch_us(newer.since)) / 86400e6 END AS sdk_version_age_days, {touchpoints},
  {faded}
FROM population CROSS JOIN fleet LEFT JOIN usual USING (account_id) LEFT JOIN sums USING (account_id) LEFT JOIN gaps USING (account_id) LEFT JOIN tokens USING (account_id)
LEFT JOIN users USING (account_id) LEFT JOIN routes USING (account_id) LEFT JOIN latency USING (account_id)
LEFT JOIN fading USING (account_id) LEFT JOIN settled USING (account_id) LEFT JOIN main USING (account_id) CROSS JOIN all_there
LEFT JOIN (SELECT release.account_id, here, coalesce(here = there.before, false)::INT AS own, coalesce(silent, false) AS silent
  FROM release LEFT JOIN there USING (account_id)) release USING (account_id)
LEFT JOIN releases ON releases.before = release.here LEFT JOIN newer ON newer.here = release.here ORDER BY account_id"""

TOUCHPOINTS = ", ".join(f"NULL::DOUBLE AS {feature.name}" for feature in features_of_group("support"))
"""The log of the benchmark has events alone."""

FADING = ", ".join(
    f"ln(1 + sum({value} * pow(0.5::DOUBLE, ({{c}} - day - 0.5::DOUBLE) / {days}))) AS {name}{days}"
    for name, value in (("fading_calls", "n"), ("fading_days", "1"))
    for days in HALF_LIVES
)
FADED = ", ".join(
    [
        *(f"coalesce(fading_calls{days}, 0) AS calls_ewma_{days}d" for days in HALF_LIVES),
        *(f"coalesce(fading_days{days}, 0) AS active_days_ewma_{days}d" for days in HALF_LIVES),
        *(
            f"coalesce(fading_days{now} - fading_days{then}, 0) AS active_days_fade_{now}d_{then}d"
            for now, then in FADES
        ),
    ]
)
"""Sums over a year of days that count the less the longer ago they are."""

WEEKS_BEFORE = "(epoch_us($c) - epoch_us(first_call)) // (7 * 86400000000) - 1"
"""Weeks before the last one over which an account was there."""


def hand_written(home: Path, out: Path) -> None:
    """The script: straight from event files to one feature file per cutoff."""
    store = ManifestStore(home / "events")
    manifest = store.manifest()
    weeks = [f"coalesce(w{week}, 0)" for week in range(13)]
    with duckdb.connect() as engine:
        engine.execute(
            "SET enable_progress_bar = false; SET threads = 2; SET memory_limit = '3GB'; SET TimeZone = 'UTC'; SET preserve_insertion_order = false"
        )
        for cutoff in cutoffs():
            ages = [*range(1, 92), *range(365, 393)]
            reached = {f"day={(cutoff - age * DAY).date()}" for age in ages}
            days = sorted(day for day in manifest.partitions if day < f"day={cutoff.date()}")
            files = {day: str(store.files(day, manifest=manifest)[0]) for day in days}
            query = SCRIPT.format(
                c=int(cutoff.timestamp()) // 86400,
                files=[file for day, file in files.items() if day in reached],
                history=list(files.values()),
                weeks=", ".join(f"sum(n) FILTER ((age - 1) // 7 = {week}) AS w{week}" for week in range(13)),
                value=f"(method || ' ' || endpoint = '{VALUE_ENDPOINT}')",
                w0=weeks[0],
                w1=weeks[1],
                n28="(" + " + ".join(weeks[:4]) + ")",
                p28="(" + " + ".join(weeks[4:8]) + ")",
                n91="(" + " + ".join(weeks) + ")",
                before=f"list_slice([{', '.join(f'ln(1 + {calls})' for calls in weeks[1:])}], 1, {WEEKS_BEFORE})",
                touchpoints=TOUCHPOINTS,
                all_weeks=", ".join(weeks),
                fading=FADING.format(c=int(cutoff.timestamp()) // 86400),
                faded=FADED,
                slope=" + ".join(f"({6 - week}) * ln(1 + {calls})" for week, calls in enumerate(weeks)),
                **{
                    f"old{days}": f"(first_call <= $c - INTERVAL {days} DAY AND log_start <= $c - INTERVAL {days} DAY)"
                    for days in (14, 49, 56, 91, 392)
                },
            )
            target = out / f"{cutoff.date()}.parquet"
            text = query.replace("$c", f"TIMESTAMPTZ '{cutoff.isoformat()}'")
            engine.execute(f"COPY ({text}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
