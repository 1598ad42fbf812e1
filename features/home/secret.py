"""The key under which tokens and user ids are stored, so that nobody can read them back."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from features.exceptions import InputError, SettingsError

__all__ = ["passing_key", "pseudonym", "secret_key"]


_BYTES = 32


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
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Mend its permissions.") from error
    except ValueError as error:
        raise SettingsError(f"{path} holds no key. Restore it from the backup of this home.") from error
    if len(key) < _BYTES:
        raise SettingsError(f"{path} is cut short. Restore it from the backup of this home.")
    return key


def passing_key() -> bytes:
    """A key that is kept nowhere: for hashes that are only looked at."""
    return secrets.token_bytes(_BYTES)


def pseudonym(key: bytes, value: str) -> str:
    """HMAC-SHA256 of a value, the first 16 bytes as hex (RFC 2104; truncation as in its section 5).

    >>> pseudonym(b"k" * 32, "token-1")
    'a0b9844b0102f543c1025bd516eb62e2'
    """
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]
