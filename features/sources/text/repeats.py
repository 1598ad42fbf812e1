"""Counts the identical lines of a log: two calls of one second may look the same."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["identical"]


_NEAR = 16_384  # lines within which identical ones are told apart, over the edge of a block


def identical(
    lines: pa.StringArray | pa.BinaryArray, before: Mapping[bytes, int]
) -> tuple[npt.NDArray[np.int32], dict[bytes, int]]:
    """Which of the identical lines each is, from 0, in these and those ``before``; and the newest lines' counts.

    Identical lines are of one second, so they lie near to each other.
    """
    distinct = lines.cast(pa.binary()).dictionary_encode()
    marks = distinct.indices.to_numpy()
    order = np.argsort(marks, kind="stable")
    starts = np.flatnonzero(np.diff(marks[order], prepend=-1))
    counts = np.diff(np.append(starts, len(marks)))
    copies = np.empty(len(marks), dtype=np.int32)
    copies[order] = np.arange(len(marks)) - np.repeat(starts, counts)
    if before:
        oldest = distinct.dictionary.slice(0, _NEAR)  # in the order in which they come
        so_far = np.zeros(len(counts), dtype=np.int32)
        so_far[: len(oldest)] = [before.get(line, 0) for line in oldest.to_pylist()]
        copies += so_far[marks]
    newest = max(0, len(lines) - _NEAR)
    near = lines.slice(newest).cast(pa.binary()).to_pylist()
    return copies, dict(zip(near, (copies[newest:] + 1).tolist(), strict=True))
