"""What a partition was made from: the code's version, settings and definitions, and sources with their content."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.fingerprint import digest

__all__ = ["Lineage"]


@dataclass(frozen=True)
class Lineage:
    """One record beside each partition of a derived store; two that are equal stand for equal rows.

    Attributes
    ----------
    version
        Of the code that makes the partition: raised when the meaning of what it makes changes.
    meaning
        Settings and definitions it depends on, by name, as JSON values.
    sources
        What was read, by name, with a fingerprint of its content.
    """

    version: int
    meaning: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def is_of_meaning(self, other: "Lineage") -> bool:
        """Whether both would make the same of the same sources."""
        return (self.version, self.meaning) == (other.version, other.meaning)

    def changed_sources(self, other: "Lineage") -> list[str]:
        """Names of sources that only one of both has, or whose content differs, ascending."""
        if self.sources is other.sources:
            return []
        names = {*self.sources, *other.sources}
        return sorted(name for name in names if self.sources.get(name) != other.sources.get(name))

    def as_json(self, sources: dict[str, Mapping[str, str]]) -> dict[str, Any]:
        """As a JSON value; its sources are put into ``sources`` under their digest, once for all that share them."""
        key = digest(self.sources)[:16]
        sources[key] = self.sources
        return {"version": self.version, "meaning": self.meaning, "sources": key}

    @classmethod
    def of_json(cls, value: Mapping[str, Any], sources: Mapping[str, Mapping[str, str]]) -> "Lineage":
        """What :meth:`as_json` wrote.

        Raises
        ------
        KeyError
            When something is missing.
        """
        return cls(value["version"], value["meaning"], sources[value["sources"]])
