"""Fingerprints of JSON values and of files."""

import hashlib
import json
from pathlib import Path

__all__ = ["digest"]


def digest(value: object) -> str:
    """SHA-256 of a JSON value: the fingerprint of what something was made from."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
