"""What the feature groups read: the rollups, as tables."""

from dataclasses import dataclass

import ibis.expr.types as ir

__all__ = ["Rollups"]


@dataclass(frozen=True)
class Rollups:
    """The rollups of ``features.rollup``, at least the days the widest window reaches."""

    usage: ir.Table
    endpoint: ir.Table
    latency: ir.Table
    token: ir.Table
    user: ir.Table
