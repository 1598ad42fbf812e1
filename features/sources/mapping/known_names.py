"""What people and servers call the columns of a log of calls."""

import re
import unicodedata
from collections.abc import Mapping

from features.sources.access_logs.request import PARAMETER

__all__ = ["AGENTS", "KNOWN_NAMES", "UNIT_ENDINGS", "folded", "known_as"]


KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    "event_id": ("request_id", "call_id", "x_edge_request_id", "insert_id", "span_id", "id", "uuid"),
    "account_id": (
        "account",
        "customer_id",
        "customer",
        "tenant_id",
        "tenant",
        "org_id",
        "organization_id",
        "organisation_id",
        "company_id",
        "company",
        "consumer_custom_id",
        "consumer_username",
        "client_username",
        "client_id",
        "client",
        "consumer_id",
        "cs_username",
        "remote_user",
    ),
    "event_time": (
        "time_local",
        "start_time_unix_nano",
        "time_unix_nano",
        "time_iso8601",
        "msec",
        "started_at",
        "start_utc",
        "start_time",
        "timestamp",
        "time",
        "ts",
        "requested_at",
        "submitted_at",
        "submit",
        "submit_time",
        "created_at",
        "request_time",
        "datetime",
        "date",
        "occurred_at",
    ),
    "ingested_at": ("received_at", "loaded_at", "processed_at"),
    "endpoint": (
        "route",
        "path",
        "request_path",
        "resource_path",
        "http_url_details_path",
        "uri",
        "cs_uri_stem",
        "request_uri",
        "url",
        "request_url",
        "http_target",
        "url_full",
        "resource",
        "request",
    ),
    "method": ("http_method", "request_method", "cs_method", "verb", "request"),
    "status": (
        "status_code",
        "http_status",
        "response_code",
        "response_status",
        "downstream_status",
        "sc_status",
        "code",
    ),
    "latency_ms": (
        "request_time",
        "latencies_request",
        "latency",
        "duration",
        "response_time",
        "upstream_response_time",
        "response_latency",
        "total_time",
        "time_taken",
        "elapsed",
        "elapsed_time",
        "took",
        "wait",
        "secs",
        "seconds",
    ),
    "token": ("api_key", "apikey", "key_id", "token_id", "access_token", "session_token", "key"),
    "user_id": ("user", "uid", "username", "enduser_id"),
    "sdk": ("sdk_name", "client_library", "library"),
    "sdk_version": ("client_version", "library_version"),
    "synthetic": ("is_synthetic", "is_probe", "probe"),
}
"""Canonical column to other names of it, the surest first."""

AGENTS = ("user_agent", "user_agent_original", "cs_user_agent", "request_user_agent")
"""Names of what a client says of itself."""

UNIT_ENDINGS = {"ms": "ms", "millis": "ms", "us": "us", "micros": "us", "ns": "ns", "nanos": "ns"} | dict.fromkeys(
    ("s", "sec", "secs", "seconds"), "s"
)
"""What a name may end in, and the unit it says."""

# What lies in these is said of the call itself; ``service.id`` is the service's.
# fmt: off
_AROUND_CALLS = frozenset((
    "source", "attributes", "event", "http", "request", "req", "response", "resp", "res", "url", "log", "call", "api",
    "record", "fields", "data", "headers", "header", "labels", "tags", "json", "message", "properties", "details",
    "httprequest", "http_request", "span",
))
# fmt: on
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HEADER = re.compile(r"^(http_)?x_|^http_")


def folded(column: str) -> str:
    """A name in small letters, its words with underscores between.

    >>> folded("RequestMethod"), folded("StartUTC"), folded("X-Account-Id"), folded("cs(User-Agent)")
    ('request_method', 'start_utc', 'x_account_id', 'cs_user_agent')
    """
    plain = unicodedata.normalize("NFKD", _WORDS.sub("_", column).replace("ß", "ss"))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def known_as(column: str, *, with_units: bool = False) -> tuple[str, ...]:
    """What a column may be called, without signs between words; ``with_units`` also without a unit at its end.

    What lies inside an object has the object's name before its own, unless the object is about the call itself.

    >>> known_as("request.headers.X-Account-Id")
    ('requestheadersxaccountid', 'headersxaccountid', 'xaccountid', 'accountid')
    >>> known_as("service.id"), known_as("ts_ms", with_units=True)
    (('serviceid',), ('tsms', 'ts'))
    """
    bare = column.removeprefix(PARAMETER)
    parts = [folded(part) for part in bare.split(".")]
    names: dict[str, None] = {}
    for place, part in enumerate(parts):
        name = "_".join(parts[place:])
        names |= {name: None, _HEADER.sub("", name): None}
        if part not in _AROUND_CALLS:
            break
    last = parts[-1]
    if "_" in last and last != "created_at":  # two words say enough wherever they lie
        names |= {last: None, _HEADER.sub("", last): None}
    if with_units:
        stems = [name.rpartition("_") for name in names]
        names |= {stem: None for stem, _, ending in stems if stem and ending in UNIT_ENDINGS}
    return tuple(dict.fromkeys(name.replace("_", "") for name in names if name))
