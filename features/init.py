"""Makes a home: its stores, its secret key, and a settings file that explains itself."""

from pathlib import Path

from features.exceptions import InputError
from features.home.secret import secret_key
from features.settings.fields import Settings
from features.settings.template import configuration_text

__all__ = ["initialise", "write_configuration"]


_STORES = ("events", "raw", "quarantine", "rollups", "features", "feast", "mlflow", "bundles")


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
    from features.sources.mapping.guess import guessed_mapping

    mapping = guessed_mapping(source) if source is not None else ""
    if path.exists():
        lines = [f"Settings: {path} is there already and was left alone."]
        return [*lines, "The mapping to put into it:", "", mapping] if mapping else lines
    try:
        path.write_text(configuration_text() + ("\n" + mapping if mapping else ""), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place with --write.") from error
    return [f"Settings: {path} (every line explains itself)", *(["", mapping] if mapping else [])]
