"""Imports Feast without its run-time type checks, as ``python -O`` would: they are most of what the import takes.

Feast decorates its classes with typeguard's ``typechecked``, which parses and compiles each of them again at every
start: three quarters of what importing Feast takes, paid by every command and every worker of the service.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typeguard

__all__ = ["without_type_checks"]


Target = TypeVar("Target")


@contextmanager
def without_type_checks() -> Iterator[None]:
    """While this is entered, what is decorated with ``typeguard.typechecked`` stays as it was written."""
    decorator = typeguard.typechecked
    typeguard.typechecked = _as_written  # type: ignore[assignment]
    try:
        yield
    finally:
        typeguard.typechecked = decorator


def _as_written(target: Target | None = None, **_options: object) -> Target | Callable[[Target], Target]:
    return (lambda decorated: decorated) if target is None else target
