"""Reads the settings file, the environment and flags, in that order."""

import difflib
import os
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from features.console import say
from features.definitions.declared import ExternalTable, Metric, TableColumn
from features.exceptions import SettingsError
from features.paths import expanded
from features.settings.fields import (
    FILE_NAME,
    RETIRED,
    ClashError,
    ColumnMapping,
    ExcludedSpan,
    Settings,
    SourceSettings,
)
from features.settings.toml_lines import line_of

__all__ = ["load_settings"]


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Read ``config`` (TOML), let ``BELLWETHER_*`` override it, and flags override both.

    Without ``config`` the file ``bellwether.toml`` in the home is read, where there is one: a home that was built under
    its own settings, as the demonstration's, is always read under them. Flags that are ``None`` count as not given.

    Raises
    ------
    SettingsError
        When the file cannot be read or a value cannot be used.
    """
    from_file: dict[str, Any] = {}
    text = ""
    given = {name: value for name, value in flags.items() if value is not None}
    if config is None:
        config = _file_of_home(given.get("home"))
    if config is not None:
        try:
            text = config.read_text(encoding="utf-8")
            from_file = tomllib.loads(text)
        except FileNotFoundError as error:
            raise SettingsError(
                f"There is no configuration file {config}. Run `bellwether init` to write one."
            ) from error
        except OSError as error:
            raise SettingsError(f"{config} cannot be read: {error.strerror}. Mend that and run again.") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{config} cannot be read as TOML: {error}. Mend that place and run again.") from error
    _tell_retired(from_file, config)
    environment = Settings.from_environment()
    try:
        return Settings(**{**from_file, **environment, **given})
    except ValidationError as error:
        lines = "; ".join(
            _sentence(problem, text, config, overridden={*environment, *given}) for problem in error.errors()[:5]
        )
        raise SettingsError(
            f"{error.error_count()} setting(s) cannot be used: {lines}. `bellwether settings` lists what there is."
        ) from error


def _tell_retired(from_file: dict[str, Any], config: Path | None) -> None:
    """Take settings that are no more out of what the file says, and tell of each, also where the environment sets it.

    Pydantic passes over names in the environment that it does not know.
    """
    prefix = str(Settings.model_config["env_prefix"])
    in_environment = {name.upper().removeprefix(prefix): name for name in os.environ}
    for name, instead in RETIRED.items():
        places = [str(config)] if from_file.pop(name, None) is not None else []
        places += filter(None, [in_environment.get(name.upper())])
        for place in places:
            say(f"{place}: the setting {name} is no more and changes nothing: {instead}.", err=True)


def _sentence(problem: Any, text: str, config: Path | None, *, overridden: Collection[str]) -> str:
    """One value that cannot be used: where it is set, its path, and why."""
    cause = problem.get("ctx", {}).get("error")
    path = [str(part) for part in (cause.path if isinstance(cause, ClashError) else problem["loc"]) if part != "[key]"]
    line = None if path[0] in overridden else line_of(text, path)
    where = f"{config.name} line {line}: " if config is not None and line is not None else ""
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "there is no such setting"
        if near := _nearest(path):
            message = f"{message}; did you mean {near}"
    return f"{where}{'.'.join(path)}: {message.rstrip('.')}"


def _nearest(path: Sequence[str]) -> str | None:
    """The key there is that looks most like the last part of a path."""
    models: dict[tuple[str, int], type[BaseModel]] = {
        ("sources", 3): SourceSettings,
        ("sources", 5): ColumnMapping,
        ("metrics", 3): Metric,
        ("tables", 3): ExternalTable,
        ("tables", 5): TableColumn,
        ("exclude", 3): ExcludedSpan,
    }
    model = Settings if len(path) == 1 else models.get((path[0], len(path)))
    keys = [] if model is None else [field.alias or name for name, field in model.model_fields.items()]
    return next(iter(difflib.get_close_matches(path[-1], keys, n=1)), None)


def _file_of_home(home: Path | None) -> Path | None:
    """The settings file that lies in the home itself, or None."""
    named = home or Settings.from_environment().get("home") or Settings.model_fields["home"].default
    path = expanded(Path(named)) / FILE_NAME
    return path if path.is_file() else None
