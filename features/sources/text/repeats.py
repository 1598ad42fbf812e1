"""Counts the identical lines of a log: two calls of one second may look the same."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Repeats"]


_REMEMBERED = (
    262_144  # different lines, and as many before them: identical ones are of one time, and near to each other
)


class Repeats:
    """Says of the lines of one file, block by block, which of the identical ones each is, from 0.

    What it says of a line must not depend on where a block ends, which differs between a log and its packed copy.
    """

    def __init__(self) -> None:
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._last: tuple[pa.BinaryArray, npt.NDArray[np.int64]] | None = None

    def __call__(self, lines: pa.StringArray | pa.BinaryArray) -> npt.NDArray[np.int32]:
        """The numbers of the next lines; they need not be UTF-8."""
        self._remember_last()
        distinct = lines.cast(pa.binary()).dictionary_encode()
        marks = distinct.indices.to_numpy()
        order = np.argsort(marks, kind="stable")
        starts = np.flatnonzero(np.diff(marks[order], prepend=-1))
        counts = np.diff(np.append(starts, len(marks)))
        copies = np.empty(len(marks), dtype=np.int32)
        copies[order] = np.arange(len(marks)) - np.repeat(starts, counts)
        if self._newer and len(counts):
            newer, older = self._newer, self._older
            so_far = np.array(
                [newer.get(mark) or older.get(mark, 0) for mark in map(hash, distinct.dictionary.to_pylist())],
                dtype=np.int32,
            )
            copies += so_far[marks]
            counts = counts + so_far
        self._last = (distinct.dictionary, counts)
        return copies

    def _remember_last(self) -> None:
        """Take the last block in, now that another follows: most files have but one."""
        if self._last is None:
            return
        if len(self._newer) >= _REMEMBERED:
            self._older, self._newer = self._newer, {}
        lines, counts = self._last
        self._newer.update(zip(map(hash, lines.to_pylist()), counts.tolist(), strict=True))
