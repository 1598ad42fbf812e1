"""Which test files a worker takes together, and in which order the workers take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent

TOGETHER: tuple[tuple[str, ...], ...] = (
    # The simulated world, and a model trained on it.
    ("test_whole.py", "training/watching/test_audit.py"),
    # One process forks the children that are killed.
    (
        "serving/routine/test_killed.py",
        "serving/routine/test_nightly.py",
        "serving/routine/test_served_meanwhile.py",
    ),
    # One server is started for all of them.
    (
        "serving/http_api/test_service.py",
        "serving/http_api/test_bad_bodies.py",
        "serving/http_api/test_readiness.py",
    ),
    # The small company is judged once.
    (
        "training/test_flow.py",
        "training/judging/test_judge.py",
        "training/models/test_bundle.py",
        "training/models/test_model.py",
    ),
    ("features/build/test_build.py",),
    ("features/ingest/test_ingest.py",),
    ("training/test_real_log.py",),
    # What `make test` leaves to `make test-delivery`: the way by real commands, notebooks, a cluster, a server of two
    # workers, a Bento.
    ("test_network.py",),
    ("test_notebooks.py",),
    ("features/engine/test_spark.py",),
    ("serving/http_api/test_swap.py", "serving/http_api/test_schemathesis.py"),
    ("serving/http_api/test_bento.py",),
)
"""What shares a costly fixture, the longest first: a long one at the end would leave the other workers idle."""

_TESTS = _HERE.name
_PLACE = {f"{_TESTS}/{file}": (place, rank) for place, files in enumerate(TOGETHER) for rank, file in enumerate(files)}


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order of :data:`TOGETHER`, then file by file."""
    return sorted(items, key=lambda item: _PLACE.get(_from_root(item.path), (len(TOGETHER), 0)))


def _from_root(path: Path) -> str:
    """Of a test, or of a module with doctests."""
    return path.relative_to(_HERE.parent).as_posix()


def group_of(file: str) -> str:
    """The first of the files that go to one worker with this one, itself where it goes alone; all from the root."""
    place, _ = _PLACE.get(file, (None, 0))
    return file if place is None else f"{_TESTS}/{TOGETHER[place][0]}"


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Deals groups of files as ``--dist loadfile`` deals files.

    Not ``--dist loadgroup``: pytest 9 does not look at the name of the group that xdist 3.8 adds to a test's, so every
    test would be a group of its own.
    """
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(super()._split_scope(nodeid))

    return Groups(config, log)
