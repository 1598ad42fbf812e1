"""Makes a home: its stores, its secret key, and a settings file that explains itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from features.exceptions import InputError
from features.secret import secret_key
from features.settings import Settings

__all__ = ["initialise", "settings_rows", "write_configuration"]

_STORES = ("events", "raw", "quarantine", "rollups", "features", "feast", "mlflow", "bundles")
_MASKED = "********"
_DECLARED = ("sources", "metrics", "tables")  # shown by examples


def initialise(settings: Settings) -> list[str]:
    """Make the home's folders and secret key; returns what to tell the user. Running it again changes nothing.

    Raises
    ------
    InputError
        When the home cannot be written.
    """
    known = (settings.home / "secret.key").exists()
    secret_key(settings.home)
    try:
        for name in _STORES:
            (settings.home / name).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{settings.home} cannot be written: {error.strerror}. Choose another folder with --home."
        ) from error
    key = settings.home / "secret.key"
    return [
        f"Home: {settings.home}",
        f"Secret key: {key} ({'kept' if known else 'new: put it into your backup'})",
    ]


def write_configuration(path: Path, *, source: Path | None = None) -> list[str]:
    """Write a settings file with every setting commented out, and a first mapping for ``source``.

    A file that is there is left as it is.

    Raises
    ------
    InputError
        When ``source`` cannot be read or ``path`` cannot be written.
    """
    from features.sources.guess import guessed_mapping

    mapping = guessed_mapping(source) if source is not None else ""
    if path.exists():
        lines = [f"Settings: {path} is there already and was left alone."]
        return [*lines, "The mapping to put into it:", "", mapping] if mapping else lines
    try:
        path.write_text(configuration_text() + ("\n" + mapping if mapping else ""), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place with --write.") from error
    return [f"Settings: {path} (every line explains itself)", *(["", mapping] if mapping else [])]


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
    """One row per setting: name, value, default, unit, meaning; secrets masked."""
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
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(_shown(item)) for item in value) or "none"
    return str(value) if isinstance(value, Path) else value


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value) if isinstance(value, Path) else value)
