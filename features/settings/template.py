"""The settings as a commented TOML text and as rows for people."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from features.settings.fields import ExcludedSpan, Settings

__all__ = ["settings_rows"]

_MASKED = "********"
_DECLARED = ("sources", "metrics", "tables", "exclude")  # shown by examples


def configuration_text() -> str:
    """A TOML text of every setting with its default, commented out."""
    lines = ["# Settings of Bellwether. BELLWETHER_<NAME> in the environment overrides a line; flags override both."]
    for name, field in Settings.model_fields.items():
        if name in _DECLARED:
            continue
        default = _toml(field.get_default(call_default_factory=True))
        lines += ["", f"# {_unit(field)}: {field.description}", f"# {name} = {default}"]
    lines += [
        "",
        "# How your files become the raw tables: events, accounts, subscriptions, touchpoints.",
        "# [sources.events.columns]",
        '# account_id = { from = "customer" }',
        '# latency_ms = { from = "duration", unit = "s" }',
        '# event_time = { from = "time", time_zone = "Europe/Berlin" }',
        '# sdk = { constant = "none" }',
        "# endpoint = { expression = \"split_part(url, '?', 1)\" }",
        "# [sources.events]",
        '# path_patterns = ["/v1/files/{name}"]',
        '# format = "combined"  # of access logs: a name, or the text of log_format (nginx) or LogFormat (Apache)',
        '# distinct_files = "host"  # equal rows of two machines are two calls; the machine is named by file or folder',
        "",
        "# Days that were not as usual; `to` is the day after the last. Nothing near them is learnt from or judged by.",
        "# [[exclude]]",
        "# from = 2026-03-02",
        "# to = 2026-03-04",
        '# why = "outage of the data centre"',
        "",
        "# Features of your own, counted from the events: count, sum, mean, share, ratio, distinct, percentile.",
        "# [metrics.report_errors]",
        '# of = "share"',
        '# where = "status >= 500"',
        "# over = \"endpoint like '/v1/reports/%'\"",
        '# windows = ["7d", "28d"]',
        '# title = "failed report calls"',
        '# risk = "up"',
        "",
        "# Features of your own, from Parquet files with account_id, event_timestamp and known_at.",
        "# [tables.health]",
        '# path = "health/*.parquet"',
        '# max_age = "90d"',
        '# columns = { nps = { title = "net promoter score", risk = "down" } }',
    ]
    return "\n".join(lines) + "\n"


def settings_rows(settings: Settings) -> list[dict[str, Any]]:
    """One row per setting: name, value, default, unit, meaning; secrets masked, and of tables their names."""
    return [
        {
            "name": name,
            "value": _shown(getattr(settings, name)),
            "default": _shown(field.get_default(call_default_factory=True)),
            "unit": _unit(field),
            "meaning": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]


def _unit(field: Any) -> str:
    return str((field.json_schema_extra or {}).get("unit", ""))


def _shown(value: object) -> object:
    if isinstance(value, SecretStr):
        return _MASKED
    if isinstance(value, Mapping):
        return sorted(value)
    if isinstance(value, ExcludedSpan):
        return f"{value.start} to {value.end} ({value.why})"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_shown(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value) if isinstance(value, Path | date) else value)
