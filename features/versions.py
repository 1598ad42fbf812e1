"""Which of several versions of one thing stays: a rule that no order of files can change."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

__all__ = ["resolve_versions"]


def resolve_versions(
    rows: ir.Table, *, key: Sequence[str], content: Sequence[str], first: str | None = None
) -> ir.Table:
    """One row per distinct content, ``place`` 0 for the version of its ``key`` that stays and more for the others.

    ``rows`` has ``stored`` (the row lies in the store), ``source_file`` and ``source_row`` beside key and content.
    Rows that differ in ``first`` alone are one, with the smallest; of two contents of one key the smallest
    (``first``, hash of the row) stays. ``copies`` counts the rows, ``stored`` says whether one of them was stored.
    """
    several = rows.group_by(*content).agg(
        **({first: rows[first].min()} if first else {}),
        copies=rows.count(),
        stored=rows.stored.any(),
        source_file=rows.source_file.min(),
        source_row=rows.source_row.min(),
    )
    held = [several[name].cast("string").fill_null("") for name in content]
    hashed = several.mutate(row_hash=ibis.literal("\x1f").join(held).hexdigest("md5"))
    order = [*([first] if first else []), "row_hash"]
    return hashed.mutate(place=ibis.row_number().over(group_by=list(key), order_by=order)).drop("row_hash")
