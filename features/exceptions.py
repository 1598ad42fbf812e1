"""Every error Bellwether raises on purpose, each with the exit code of its kind."""

from collections.abc import Iterable

__all__ = [
    "BellwetherError",
    "DamagedFileError",
    "DependencyError",
    "GateRefusedError",
    "InputError",
    "LockHeldError",
    "SettingsError",
    "WorkFailedError",
    "counted",
    "listed",
]


class BellwetherError(Exception):
    """Base of all errors with a message for people: what is wrong, which item, what to do next."""

    exit_code = 1


class WorkFailedError(BellwetherError):
    """The input was acceptable and the work could not be done."""

    exit_code = 1


class InputError(BellwetherError):
    """Data, arguments or a request that cannot be used."""

    exit_code = 2


class DamagedFileError(InputError):
    """A file nothing can be read of; others that lie beside it may be fine."""


class SettingsError(InputError):
    """A setting, flag or mapping that cannot be used."""


class DependencyError(BellwetherError):
    """A store, registry or model that should be there is away."""

    exit_code = 3


class GateRefusedError(BellwetherError):
    """A model was not good enough, or not proven enough, to be promoted."""

    exit_code = 4


class LockHeldError(BellwetherError):
    """Another process is writing to the same store."""

    exit_code = 5


def counted(count: int, nouns: str) -> str:
    """A number and the words after it, which differ between one and several: ``one|several``.

    >>> counted(1, "file is|files are")
    '1 file is'
    >>> counted(1234, "file is|files are")
    '1,234 files are'
    """
    singular, _, plural = nouns.partition("|")
    return f"{count:,} {singular if count == 1 else plural}"


def listed(items: Iterable[object], *, limit: int = 5) -> str:
    """Name at most ``limit`` items in a sentence.

    >>> listed(["a", "b"])
    'a, b'
    >>> listed(range(17))
    '0, 1, 2, 3, 4 and 12 more'
    """
    names = [str(item) for item in items]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
