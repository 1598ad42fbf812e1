"""Wall seconds, processor seconds and peak memory of one piece of work, here or in a process of its own."""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What a piece of work took; ``peak_gib`` is that of its whole process."""

    seconds: float
    cpu_seconds: float
    peak_gib: float
    result: Any = None


def measured(work: Callable[..., Any], *arguments: Any, **named: Any) -> Cost:
    """Do the work here."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work(*arguments, **named)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return Cost(seconds, cpu_seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, result)


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do the work in a fresh process, which ends with it: its memory is its own, and nothing is warm."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def alternating(
    first: Callable[[], Any], second: Callable[[], Any], *, rounds: int
) -> tuple[float, list[Cost], list[Cost]]:
    """Median of the paired ratios of wall seconds, first over second, after a round that warms both."""
    first(), second()
    pairs = [(measured(first), measured(second)) for _ in range(rounds)]
    return statistics.median(a.seconds / b.seconds for a, b in pairs), [a for a, _ in pairs], [b for _, b in pairs]


def middle(costs: list[Cost]) -> float:
    """Median wall seconds."""
    return statistics.median(cost.seconds for cost in costs)


def cpu_ratio(first: list[Cost], second: list[Cost]) -> float:
    """Median of the paired ratios of processor seconds: what a busy machine disturbs least."""
    return statistics.median(a.cpu_seconds / b.cpu_seconds for a, b in zip(first, second, strict=True))
