"""All settings: one frozen object from ``bellwether.toml``, the environment and flags, in that order."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from features.definitions.declared import ExternalTable, Metric, Name
from features.exceptions import listed
from features.paths import expanded, unusable

__all__ = ["RETIRED", "ClashError", "ColumnMapping", "ExcludedSpan", "Settings", "SourceSettings"]


_MEMORY = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# The end of a path with {host} once, so that what lies around it says where the name begins and ends.
_HOST_PATTERN = re.compile(r"(?:[^{}]*[^{}*])?\{host\}[^{}*][^{}]*")


class ColumnMapping(BaseModel):
    """How one canonical column is made; give exactly one of ``from``, ``constant``, ``expression``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: str | None = Field(default=None, alias="from", description="column of the file to rename")
    constant: str | int | float | bool | None = Field(default=None, description="the same value in every row")
    expression: str | None = Field(default=None, description="SQL expression over the file's columns")
    unit: str | None = Field(default=None, description="unit of the file's number or epoch: s, ms, us, ns")
    time_zone: str | None = Field(
        default=None, description="zone of times written without an offset, e.g. Europe/Berlin"
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="decimal mark of the file's numbers")
    hashed: bool = Field(default=False, description="keep only a keyed hash: an account known by its API key")


FILE_NAME = "bellwether.toml"
"""Name of the settings file, in the working directory or in a home."""


RETIRED: Mapping[str, str] = {
    "capacity_share": "bands begin where scores lie far above the base rate; see capacity for what a team can do",
    "medium_share": "bands begin where scores lie far above the base rate; see capacity for what a team can do",
    "test_share": "every closed cutoff is judged, in blocks; see judging_blocks",
}
"""Settings that are no more, and what is so instead: who sets one is told, and goes on."""


class ClashError(ValueError):
    """A declaration whose feature or family has a name that is taken; ``path`` says where it is declared."""

    def __init__(self, path: tuple[str, ...], name: str) -> None:
        super().__init__(
            f"{name} is a feature or a family of features, or a column beside them, already; choose another name"
        )
        self.path = path


class ExcludedSpan(BaseModel):
    """Days that were not as usual, from ``from`` until before ``to``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: date = Field(alias="from", description="the first day")
    end: date = Field(alias="to", description="the day after the last")
    why: str = Field(min_length=1, max_length=200, description="what was unusual, as reports say it")

    @field_validator("end")
    @classmethod
    def _has_a_day(cls, value: date, info: ValidationInfo) -> date:
        start = info.data.get("start")
        if start is not None and value <= start:
            raise ValueError(f"{value} is not after from = {start}; `to` is the day after the last")
        return value


class SourceSettings(BaseModel):
    """How one raw table is read from the files people have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str | None = Field(
        default=None, description="of access logs: combined, common, json, or the text of log_format or LogFormat"
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="decimal mark of all numbers of these files")
    distinct_files: str | None = Field(
        default=None,
        description="equal rows of different machines are different events: host (told by each file's name or folder), "
        "or the end of a path with {host} in it, e.g. {host}/access.log*",
    )
    columns: dict[str, ColumnMapping] = Field(default_factory=dict)
    path_patterns: tuple[str, ...] = Field(
        default=(), description="extra route templates, most specific first, e.g. /v1/files/{name}"
    )

    @field_validator("distinct_files")
    @classmethod
    def _names_a_machine(cls, value: str | None) -> str | None:
        if value is None or value == "host" or _HOST_PATTERN.fullmatch(value):
            return value
        raise ValueError(
            f'{value!r} does not say which part of a path names the machine: write "host", or the end of a path with '
            '{host} in it and something else beside it, such as "{host}/*" or "{host}-access.log"'
        )


def _setting(default: Any, unit: str, text: str, **limits: Any) -> Any:
    return Field(default, description=text, json_schema_extra={"unit": unit}, **limits)


class Settings(BaseSettings):
    """Everything that can be set, with default, unit and meaning; ``bellwether settings`` prints it.

    Raises
    ------
    SettingsError
        By :func:`load_settings`, naming each value that cannot be used.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="BELLWETHER_", env_nested_delimiter="__")

    home: Path = _setting(Path("var"), "folder", "where every store lives")
    inbox: Path = _setting(
        Path("inbox"), "folder", "where new files arrive, in a sub-folder per raw table; under the home unless absolute"
    )
    grace_hours: float = _setting(6.0, "hours", "how long after midnight late data still counts as known", ge=0, le=24)
    strict_values: bool = _setting(
        False, "true/false", "refuse a row for an optional value that cannot be read; else the value is null and told"
    )
    oldest_event: date = _setting(date(2000, 1, 1), "date", "events dated before it are refused: defaults, wrong units")
    decimal: Literal["auto", ".", ","] = _setting(
        "auto", "mark", "decimal mark of the numbers in files; auto: told by what each file holds"
    )
    renewal_grace_days: int = _setting(14, "days", "a term that ended may still be renewed this long", ge=0)
    reactivation_days: int = _setting(
        14, "days", "a cancellation taken back, or followed by another subscription, within this time is no churn", ge=0
    )
    horizon_days: int = _setting(30, "days", "length of the label window", ge=1)
    lead_days: int = _setting(7, "days", "warning time before the label window starts", ge=0)
    judging_blocks: int = _setting(
        5, "blocks", "blocks of closed cutoffs that are judged, each by a model of what lay before it", ge=1, le=52
    )
    capacity: int = _setting(15, "accounts", "how many each owner can call on in a week", ge=1)
    known_tells: tuple[str, ...] = _setting(
        (), "names", "features or families that may tell a label alone; any other that does refuses the model"
    )
    exclude: tuple[ExcludedSpan, ...] = _setting(
        (), "spans", "days that were not as usual: cutoffs near them are neither learnt from nor judged by"
    )
    minimum_tenure_days: int = _setting(28, "days", "accounts younger than this are not scored for churn", ge=0)
    stale_after_hours: float = _setting(36.0, "hours", "scores of features older than this are marked stale", gt=0)
    source_late_days: float = _setting(
        3.0,
        "days",
        "a cutoff more than this, and than three usual gaps between loads, after the newest event is not scored",
        gt=0,
    )
    slow_call_ms: float = _setting(1000.0, "ms", "a call at least this slow is a slow call", gt=0)
    value_endpoints: tuple[str, ...] = _setting((), "routes", "routes that make the value: /v1/orders, POST /v1/orders")
    plan_ranks: tuple[str, ...] = _setting((), "plans", "plans from smallest to largest; empty: by median MRR")
    seed: int = _setting(7, "number", "seed of folds, bootstrap and booster", ge=0)
    engine: Literal["duckdb", "spark"] = _setting(
        "duckdb", "name", "what counts events and builds features: duckdb on this machine, or spark on a cluster"
    )
    spark_master: str = _setting(
        "local[*]", "URL", "the cluster of engine spark: spark://host:7077, yarn, k8s://…, or local[*]", min_length=1
    )
    spark_conf: dict[str, str] = Field(
        default_factory=dict,
        description="further settings of Spark, as spark.executor.memory",
        json_schema_extra={"unit": "names and values"},
    )
    threads: int = _setting(2, "threads", "processor threads of the engine and of training", ge=1)
    memory_limit: str = _setting("3GB", "size", "memory the engine may use before it spills to disk")
    feature_project: str = _setting("bellwether", "name", "name of the Feast project", pattern=r"^[a-z][a-z0-9_]*$")
    host: str = _setting("127.0.0.1", "address", "address the service binds; loopback only without keys")
    port: int = _setting(3000, "port", "port of the service", ge=1, le=65535)
    public_url: str = _setting(
        "",
        "URL",
        "where people reach the service when it is not the bound address: https://bellwether.example.com",
        pattern=r"^(https?://[A-Za-z0-9.\-\[\]:]+/?)?$",
    )
    workers: int = _setting(2, "processes", "service worker processes", ge=1)
    connections: int = _setting(
        512, "connections", "open at once in each worker; at most half of them may wait for a request's header", ge=2
    )
    header_seconds: float = _setting(10.0, "seconds", "a client may take to send the header of a request", gt=0)
    idle_seconds: float = _setting(75.0, "seconds", "a connection may stay open without a request", gt=0)
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = _setting(
        (), "sha256, comma-separated", "SHA-256 of each key a client may send as a bearer token"
    )
    sources: dict[str, SourceSettings] = Field(
        default_factory=dict, description="column mappings of the raw tables", json_schema_extra={"unit": "tables"}
    )
    metrics: dict[Name, Metric] = Field(
        default_factory=dict,
        description="features of your own, counted from events; see Your own metrics and feature tables",
        json_schema_extra={"unit": "tables"},
    )
    tables: dict[Name, ExternalTable] = Field(
        default_factory=dict,
        validate_default=True,
        description="features of your own, from Parquet files that somebody else makes",
        json_schema_extra={"unit": "tables"},
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("api_keys")
    @classmethod
    def _digests(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        strange = [place for place, key in enumerate(value, 1) if not _SHA256.fullmatch(key.get_secret_value())]
        if strange:
            # A key put here in plain must not be repeated in a message.
            raise ValueError(
                f"{len(strange)} of {len(value)} are no SHA-256 in hex, 64 digits: `printf %s KEY | sha256sum` has it"
            )
        return value

    @field_validator("memory_limit")
    @classmethod
    def _size(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value):
            raise ValueError(f"{value!r} is no size: write it as 3GB, 512MB or 1.5GiB")
        return value

    @field_validator("sources")
    @classmethod
    def _raw_tables(cls, value: dict[str, SourceSettings]) -> dict[str, SourceSettings]:
        if not value:  # the schema needs pyarrow, which a command that only helps does not wait for
            return value
        from features.schema import RAW_TABLES

        unknown = [name for name in value if name not in RAW_TABLES]
        if unknown:
            raise ValueError(f"there is no table {listed(unknown)}; the tables are {', '.join(RAW_TABLES)}")
        return value

    @field_validator("tables")
    @classmethod
    def _each_feature_once(cls, value: dict[str, ExternalTable], info: ValidationInfo) -> dict[str, ExternalTable]:
        if value or info.data.get("metrics"):
            from features.definitions.sets import FeatureSet

            clash = FeatureSet(info.data.get("metrics", {}), value).clash()
            if clash:
                raise ClashError(*clash)
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        folder = expanded(value).absolute()
        if reason := unusable(folder):
            raise ValueError(f"{reason}. Choose another folder")
        return folder

    @classmethod
    def from_environment(cls) -> dict[str, Any]:
        """What ``BELLWETHER_*`` sets, still unvalidated."""
        return dict(EnvSettingsSource(cls)())

    @classmethod
    def settings_customise_sources(  # the signature is pydantic's
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what :func:`load_settings` merged (file, environment, flags) and nothing else."""
        return (init_settings,)
