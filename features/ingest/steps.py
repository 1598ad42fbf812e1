"""Works out what several columns are made of in a step before them, where the engine would plan each copy of it."""

from collections.abc import Mapping, Sequence

import ibis.expr.operations as ops
import ibis.expr.types as ir

__all__ = ["in_two_steps"]

_STEP = "_bellwether_step_"


def in_two_steps(table: ir.Table, columns: Mapping[str, ir.Value], steps: Sequence[ir.Value]) -> ir.Table:
    """A table of these columns over ``table``, with ``steps``, which are parts of them, worked out first.

    An expression has no names for its parts: one that stands in ten places is written, planned and run ten times.
    The steps are run for every row, also for those for which a condition would have passed them by.
    """
    first = table.mutate({f"{_STEP}{place}": step for place, step in enumerate(steps)})
    # What stood for a column of the table stands for the same one of the first step, and a step for its result.
    moved: dict[ops.Node, ops.Node] = {table[name].op(): first[name].op() for name in table.columns}
    moved |= {step.op(): first[f"{_STEP}{place}"].op() for place, step in enumerate(steps)}
    return first.select(**{name: column.op().replace(moved).to_expr() for name, column in columns.items()})
