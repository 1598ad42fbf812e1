"""Logs of the groups' tests are counted in memory."""

from collections.abc import Callable

import pytest

from tests.features.counted import CountedLog


@pytest.fixture
def new_log(new_counted_log: Callable[..., CountedLog]) -> Callable[..., CountedLog]:
    """Makes empty logs with settings."""
    return new_counted_log


@pytest.fixture
def log(new_log: Callable[..., CountedLog]) -> CountedLog:
    """An empty log."""
    return new_log()
