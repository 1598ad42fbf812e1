"""What the feature groups read: the rollups, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis.expr.types as ir

__all__ = ["REACH_DAYS", "Rollups"]

REACH_DAYS: Mapping[str, int] = {"usage": 91, "endpoint": 56, "latency": 35, "token": 28, "user": 28}
"""The widest window any group opens on a rollup, in days; older files are not read."""


@dataclass(frozen=True)
class Rollups:
    """The rollups of ``features.rollup``, at least the days the widest window reaches."""

    usage: ir.Table
    endpoint: ir.Table
    latency: ir.Table
    token: ir.Table
    user: ir.Table
