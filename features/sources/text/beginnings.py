"""Tells a file that grew from another one: by a digest of as many of its first bytes as were read before."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from features.sources.text.lines import read_pieces

__all__ = ["beginnings", "whole"]


def whole(path: Path, *, key: bytes) -> tuple[int, str]:
    """How many bytes a file has, unpacked, and their digest under the key."""
    digest, size = hashlib.sha256(key), 0
    for piece in read_pieces(path):
        digest.update(piece or b"")
        size += len(piece or b"")
    return size, digest.hexdigest()


def beginnings(path: Path, sizes: Sequence[int], *, key: bytes) -> Iterator[tuple[int, str, bytes]]:
    """For each of the ascending sizes that a file is longer than: the digest of so many bytes, and the byte behind."""
    digest, size = hashlib.sha256(key), 0
    wanted = list(sizes)
    for piece in read_pieces(path):
        start = 0
        while piece and wanted and wanted[0] < size + len(piece):
            end = wanted[0] - size
            digest.update(piece[start:end])
            yield wanted.pop(0), digest.hexdigest(), piece[end : end + 1]
            start = end
        if not wanted:
            return
        digest.update((piece or b"")[start:])
        size += len(piece or b"")
