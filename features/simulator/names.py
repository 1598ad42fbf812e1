"""Identifiers made from numbers, whole arrays at a time."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["account_names", "hexadecimal", "mixed"]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, made odd: multiplying by it is one-to-one


def account_names(accounts: int) -> pa.Array:
    """Account ids, in the order of their numbers."""
    return pa.array([f"acct_{number:06d}" for number in range(accounts)], pa.string())


def mixed(numbers: NDArray[np.uint64], *, bits: int = 64) -> NDArray[np.uint64]:
    """Spread numbers below ``2**bits`` over all of them, one-to-one, so that neighbours look unrelated."""
    mask = np.uint64((1 << bits) - 1)
    half = np.uint64(bits // 2)
    spread = (numbers * _ODD) & mask
    spread ^= spread >> half
    return (spread * _ODD) & mask


def hexadecimal(numbers: NDArray[np.uint64], *, digits: int, prefix: str = "") -> pa.Array:
    """Strings of ``prefix`` and 8 or 16 hexadecimal digits.

    >>> hexadecimal(np.array([255], np.uint64), digits=8, prefix="t_").to_pylist()
    ['t_000000ff']
    """
    raw = numbers.astype(f">u{digits // 2}").tobytes().hex().encode()
    text = np.empty((len(numbers), len(prefix) + digits), np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode(), np.uint8)
    text[:, len(prefix) :] = np.frombuffer(raw, np.uint8).reshape(len(numbers), digits)
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))
