"""The key under which tokens and user ids are stored, so that nobody can read them back."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from features.exceptions import InputError, SettingsError, WorkFailedError
from features.home.home import Home

__all__ = ["RESTORE_KEY", "home_key", "key_check", "key_fault", "passing_key", "pseudonym", "require_key", "secret_key"]


RESTORE_KEY = "Restore it from the backup of this home; without one, load all files into a new home."
"""What to do about a key that is not the home's."""

_BYTES = 32
_CHECKED = b"\0bellwether key check"  # begins as no token does


def home_key(home: Home) -> bytes:
    """The key under which a home's tokens and users are stored; made where nothing is stored yet.

    Raises
    ------
    SettingsError
        When another key lies there than the stores were written under, or none.
    InputError
        When it cannot be read or made.
    """
    require_key(home)
    return secret_key(home.root)


def require_key(home: Home) -> None:
    """Go on only when the home's key is the one its stores were written under.

    Raises
    ------
    SettingsError
        Naming what is wrong with the key, and the remedy.
    """
    fault = key_fault(home)
    if fault is not None:
        raise SettingsError(f"{fault} {RESTORE_KEY}")


def key_fault(home: Home) -> str | None:
    """What is wrong with a home's key, in a sentence; None where nothing is, or where nothing is stored yet."""
    path = home.secret_key
    checks: set[str] = set()
    is_stored = False
    for store in (home.stores.events, home.stores.raw, home.stores.quarantine):
        try:
            manifest = store.manifest()
        except WorkFailedError:  # damaged or gone: whoever opens the store says so
            is_stored = True
            continue
        is_stored |= bool(manifest.partitions)
        checks.update({manifest.notes["key_check"]} if "key_check" in manifest.notes else ())
    if not path.exists():
        if checks or is_stored:
            return f"{path} is missing, and {home.root} holds tokens and users stored under it."
        return None
    key = _read(path)
    if key is None:
        return f"{path} holds no key."
    if len(key) < _BYTES:
        return f"{path} is cut short."
    if checks - {key_check(key)}:
        return f"{path} is not the key under which this home's tokens and users are stored."
    return None


def secret_key(home: Path) -> bytes:
    """The key of ``home/secret.key``; made on first use, readable by its owner alone (mode 0600).

    It belongs into the backup: without it new data no longer matches the stored tokens and users.

    Raises
    ------
    SettingsError
        When the file is there and holds no key.
    InputError
        When it cannot be read or made.
    """
    path = home / "secret.key"
    try:
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
    except FileExistsError:
        if not path.exists():  # the home itself is a file
            raise InputError(f"{home} is not a folder. Choose another with --home.") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}. Choose another folder with --home or mend its permissions."
        ) from error
    key = _read(path)
    if key is None:
        raise SettingsError(f"{path} holds no key. {RESTORE_KEY}")
    if len(key) < _BYTES:
        raise SettingsError(f"{path} is cut short. {RESTORE_KEY}")
    return key


def _read(path: Path) -> bytes | None:
    """The bytes of a key file; None where it holds something else."""
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (IsADirectoryError, ValueError):
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Mend its permissions.") from error


def passing_key() -> bytes:
    """A key that is kept nowhere: for hashes that are only looked at."""
    return secrets.token_bytes(_BYTES)


def pseudonym(key: bytes, value: str) -> str:
    """HMAC-SHA256 of a value, the first 16 bytes as hex (RFC 2104; truncation as in its section 5).

    >>> pseudonym(b"k" * 32, "token-1")
    'a0b9844b0102f543c1025bd516eb62e2'
    """
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]


def key_check(key: bytes) -> str:
    """What a store notes of the key it was written under: tells a key from another, and tells nothing of it."""
    return hmac.new(key, _CHECKED, hashlib.sha256).hexdigest()[:32]
