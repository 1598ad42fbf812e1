"""One day of API calls as an Arrow table, drawn in whole arrays."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.schema import EVENTS
from features.simulator.company import ENDPOINTS, REGIONS, SDKS, SLOT_POWER, Company
from features.simulator.names import account_names, hexadecimal, mixed
from features.simulator.traces import Traces

__all__ = ["Drawn", "draw_calls"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MICROSECONDS_PER_DAY = 86_400_000_000
DAY_TO_DAY_SHAPE = 20.0  # gamma shape of an account's day-to-day noise
USER_POWER = 1.5
LATE_SHARE = 0.02
LATE_MEDIAN_HOURS = 6.0
DUPLICATE_SHARE = 0.002
CONFLICT_SHARE = 0.0005
PROBES_PER_DAY = 4
SERVER_ERROR_RATE, SERVER_ERRORS_AT_WORST = 0.004, 0.3
LATENCY_SIGMA, LATENCY_AT_WORST = 0.45, 1.5  # of the natural logarithm
NEWEST_ARRIVAL_HOURS = 6  # the export is taken so long after the end of the log
_HOUR_WEIGHTS = np.array([1, 1, 1, 1, 1, 1.5, 2, 3, 5, 7, 8, 8, 7, 7, 8, 8, 7, 5, 4, 3, 2.5, 2, 1.5, 1])
_HOUR_SHARE = np.concatenate([[0.0], np.cumsum(_HOUR_WEIGHTS) / _HOUR_WEIGHTS.sum()])
_REST_OF_CLIENT_ERRORS = np.array((400, 404, 409, 422), np.int16)
_SERVER_ERRORS = np.array((500, 502, 503, 504), np.int16)
_IS_WRITE = np.array([endpoint.method == "POST" for endpoint in ENDPOINTS])
_LATENCY = np.log([endpoint.latency_ms for endpoint in ENDPOINTS])


@dataclass(frozen=True)
class Drawn:
    """One day's table of events, and how many rows of it are of each unusual kind."""

    table: pa.Table
    late: int
    duplicates: int
    conflicts: int
    synthetic: int


def draw_calls(
    company: Company, traces: Traces, failing: Floats, *, day: int, days: int, midnight: int, rng: np.random.Generator
) -> Drawn:
    """Draw the calls of ``day``, which begins at ``midnight`` (microseconds since 1970), in order of time.

    Late, repeated, contradicting and synthetic rows are among them; what would arrive after the export is not.
    """
    noise = rng.gamma(DAY_TO_DAY_SHAPE, 1.0 / DAY_TO_DAY_SHAPE, company.accounts)
    calls = rng.poisson(traces.volume * noise)
    probes = np.where(company.is_probed & ~company.is_silent & ~traces.is_gone, PROBES_PER_DAY, 0)
    account = np.concatenate([np.repeat(np.arange(company.accounts), n) for n in (calls, probes)])
    synthetic = np.arange(len(account)) >= calls.sum()
    time = _times(company, account, rng)
    order = np.argsort(time, kind="stable")
    account, synthetic, time = account[order], synthetic[order], time[order]
    count = len(account)

    slot = np.floor(traces.endpoints[account] * rng.random(count) ** SLOT_POWER).astype(np.int64)
    endpoint = company.endpoints[account, slot]
    user = _users(traces, account, rng)
    status = _statuses(traces, failing, account, endpoint, rng)
    trouble = LATENCY_AT_WORST * failing[endpoint]
    latency = np.exp(_LATENCY[endpoint] + trouble + LATENCY_SIGMA * rng.standard_normal(count))
    latency *= company.latency_factor[account]
    delay, is_late = _delays(count, rng)

    # Rows said twice: some word for word, some with another arrival and status.
    twice = rng.random(count)
    is_duplicate = ~synthetic & (twice < DUPLICATE_SHARE)
    is_conflict = ~synthetic & ~is_duplicate & (twice < DUPLICATE_SHARE + CONFLICT_SHARE)
    row = np.concatenate([np.arange(count), np.flatnonzero(is_duplicate), np.flatnonzero(is_conflict)])
    contradicts = np.arange(len(row)) >= count + is_duplicate.sum()
    event_time = midnight + time
    arrival = (event_time + delay)[row] + np.where(contradicts, 3_600_000_000, 0)
    status = np.where(contradicts, np.int16(504), status[row])
    newest = midnight + (days - day) * MICROSECONDS_PER_DAY + NEWEST_ARRIVAL_HOURS * 3_600_000_000
    is_known = arrival < newest
    row, contradicts = row[is_known], contradicts[is_known]
    account, endpoint, user = account[row], endpoint[row], user[row]

    sdk_versions = _sdk_versions(company, traces, day)
    columns = {
        "event_id": hexadecimal(mixed((np.uint64(day) << np.uint64(40)) + row.astype(np.uint64)), digits=16),
        "account_id": pa.DictionaryArray.from_arrays(pa.array(account, pa.int32()), account_names(company.accounts)),
        "event_time": pa.array(event_time[row], EVENTS.schema.field("event_time").type),
        "ingested_at": pa.array(arrival[is_known], EVENTS.schema.field("ingested_at").type),
        "endpoint": _coded(endpoint, [e.route for e in ENDPOINTS]),
        "method": _coded(endpoint, [e.method for e in ENDPOINTS]),
        "status": pa.array(status[is_known], pa.int16()),
        "latency_ms": pa.array(np.round(latency[row], 2), pa.float64()),
        "token": hexadecimal(mixed((account * 64 + user // 2).astype(np.uint64), bits=32), digits=8, prefix="tok_"),
        "user_id": hexadecimal(mixed((account * 64 + user).astype(np.uint64), bits=32), digits=8, prefix="user_"),
        "sdk": _coded(company.sdk[account], SDKS),
        "sdk_version": _coded(sdk_versions[account], _SDK_VERSIONS),
        "synthetic": pa.array(synthetic[row], pa.bool_()),
    }
    repeated = is_known[count:]
    return Drawn(
        table=pa.table(columns),
        late=int(is_late[row].sum()),
        duplicates=int(repeated[: is_duplicate.sum()].sum()),
        conflicts=int(contradicts.sum()),
        synthetic=int(synthetic[row].sum()),
    )


def _coded(codes: Ints, words: "list[str] | tuple[str, ...]") -> pa.DictionaryArray:
    """Strings by code; equal words share one entry and ``none`` becomes null."""
    distinct = sorted({word for word in words if word != "none"})
    position = np.array([distinct.index(word) if word != "none" else -1 for word in words])[codes]
    return pa.DictionaryArray.from_arrays(pa.array(position, pa.int32(), mask=position < 0), pa.array(distinct))


def _times(company: Company, account: Ints, rng: np.random.Generator) -> Ints:
    """Microseconds after midnight, by the working hours of the account's region."""
    local = np.interp(rng.random(len(account)), _HOUR_SHARE, np.arange(25.0))
    east = np.array([hours for _, hours in REGIONS])[company.region][account]
    microseconds = ((local - east) % 24.0) * 3_600_000_000
    times: Ints = np.minimum(microseconds.astype(np.int64), MICROSECONDS_PER_DAY - 1)
    return times


def _users(traces: Traces, account: Ints, rng: np.random.Generator) -> Ints:
    """Index of the calling user within the account: 0 is the champion, and the busiest while there."""
    without = traces.champion_gone[account].astype(np.int64)
    among = np.maximum(traces.users[account] - without, 1)
    user: Ints = without + np.floor(among * rng.random(len(account)) ** USER_POWER).astype(np.int64)
    return user


def _statuses(
    traces: Traces, failing: Floats, account: Ints, endpoint: Ints, rng: np.random.Generator
) -> NDArray[np.int16]:
    draw, pick = rng.random((2, len(account)))
    status = np.where(_IS_WRITE[endpoint], np.int16(201), np.int16(200))
    auth = traces.auth_error_rate[account]
    throttled = auth + traces.throttled_rate[account]
    client = throttled + traces.client_error_rate[account]
    server = client + SERVER_ERROR_RATE + SERVER_ERRORS_AT_WORST * failing[endpoint]
    four = np.floor(4 * pick).astype(np.int64)
    status = np.where(draw < server, _SERVER_ERRORS[four], status)
    status = np.where(draw < client, _REST_OF_CLIENT_ERRORS[four], status)
    status = np.where(draw < throttled, np.int16(429), status)
    return np.where(draw < auth, np.where(pick < 0.8, np.int16(401), np.int16(403)), status)


def _delays(count: int, rng: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """Microseconds from the call to its arrival: seconds for most, hours to days for the late."""
    is_late = rng.random(count) < LATE_SHARE
    seconds = rng.exponential(20.0, count)
    late = int(is_late.sum())
    seconds[is_late] = np.minimum(3600 * LATE_MEDIAN_HOURS * rng.lognormal(0.0, 1.0, late), 6 * 86400.0)
    return (seconds * 1e6).astype(np.int64), is_late


_RELEASE_EVERY_DAYS = 75
_RELEASES = 24
_SDK_VERSIONS = tuple(f"{1 + n // 8}.{n % 8}.0" for n in range(_RELEASES))


_BROKEN_EVERY = 4  # releases


def _sdk_versions(company: Company, traces: Traces, day: int) -> Ints:
    """Index of the SDK release each account runs: releases come steadily, accounts follow at their own pace.

    Some releases are broken: those in integration trouble run the newest of these, all others pass them over.
    """
    wanted, newest = (day + 800 - company.sdk_lag_days) // _RELEASE_EVERY_DAYS, (day + 800) // _RELEASE_EVERY_DAYS
    release = np.clip(wanted, 0, _RELEASES - 1)
    release = np.where(release % _BROKEN_EVERY == 0, np.maximum(release - 1, 0), release)
    broken = min(newest, _RELEASES - 1) // _BROKEN_EVERY * _BROKEN_EVERY
    versions: Ints = np.where(traces.on_broken_release, broken, release)
    return versions
