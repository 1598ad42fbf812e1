"""What a store's manifest says: its files, what they were made from, and how much they hold."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.fingerprint import digest
from features.storage.lineage import Lineage
from features.storage.verification import FileSize

__all__ = ["FORMAT", "Manifest", "require_signed", "signed"]

FORMAT = 2
"""Of the manifest; 1 had a digest in place of the lineage."""

_SIGNED = re.compile(r'\{"sha256": "([0-9a-f]{64})",')


@dataclass(frozen=True)
class Manifest:
    """What a store holds.

    Attributes
    ----------
    partitions
        Partition (a relative folder such as ``day=2026-06-29``) to file name to fingerprint.
    lineage
        Partition to what it was made from; without one nobody can tell.
    facts
        Partition to what its maker counted on the way, as JSON.
    notes
        Anything else a reader of this store needs, as JSON.
    sizes
        Partition to file name to how much it holds; files of earlier versions have none.
    is_of_earlier_version
        Whether it was written before lineage was kept.
    """

    partitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lineage: Mapping[str, Lineage] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, FileSize]] = field(default_factory=dict)
    is_of_earlier_version: bool = False

    def fingerprint(self, partition: str) -> str | None:
        """Fingerprint of a partition's files, or None where there is no such partition."""
        files = self.partitions.get(partition)
        return None if files is None else digest(files)

    def as_json(self) -> dict[str, Any]:
        """What :meth:`of_json` reads."""
        sources: dict[str, Mapping[str, str]] = {}
        entries: dict[str, dict[str, Any]] = {}
        for partition, files in self.partitions.items():
            entry = entries[partition] = {"files": files}
            if partition in self.lineage:
                entry["lineage"] = self.lineage[partition].as_json(sources)
            if partition in self.facts:
                entry["facts"] = self.facts[partition]
            if partition in self.sizes:
                entry["sizes"] = {name: [size.bytes, size.rows] for name, size in self.sizes[partition].items()}
        return {"format": FORMAT, "partitions": entries, "sources": sources, "notes": self.notes}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> "Manifest":
        """The manifest of a JSON value; one of an earlier version lists its files and has no lineage.

        Raises
        ------
        KeyError, TypeError, AttributeError
            When it is no manifest.
        """
        if "format" not in content:
            return cls(content["partitions"], notes=content["notes"], is_of_earlier_version=True)
        entries, sources = content["partitions"], content["sources"]
        return cls(
            {name: entry["files"] for name, entry in entries.items()},
            {name: Lineage.of_json(entry["lineage"], sources) for name, entry in entries.items() if "lineage" in entry},
            {name: entry["facts"] for name, entry in entries.items() if "facts" in entry},
            content["notes"],
            {
                name: {file: FileSize(*size) for file, size in entry["sizes"].items()}
                for name, entry in entries.items()
                if "sizes" in entry
            },
        )


def signed(text: str) -> str:
    """The text of a manifest, a JSON object, with the SHA-256 of all of it as the first entry."""
    return f'{{"sha256": "{_digest(text)}",{text[1:]}'


def require_signed(text: str) -> None:
    """Go on only when the text of a manifest is as it was written; those of earlier versions do not say.

    Raises
    ------
    ValueError
        When a part of it is another.
    """
    signature = _SIGNED.match(text)
    if signature is None and '"sha256"' not in text[:100]:
        return
    if signature is None or _digest("{" + text[signature.end() :]) != signature[1]:
        raise ValueError("it is not as it was written")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
