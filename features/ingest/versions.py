"""Decides which row stays where several with one key differ: the same one whatever the order of files."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

__all__ = ["ROWS_PER_FILE", "as_refused", "resolve_versions"]


ROWS_PER_FILE = 2**40  # more than any file has


def resolve_versions(
    rows: ir.Table, *, key: Sequence[str], content: Sequence[str], first: str | None = None, made_id: str | None = None
) -> ir.Table:
    """One row per distinct content, ``place`` 0 for the version of its ``key`` that stays and more for the others.

    ``rows`` has ``stored`` (the row lies in the store), ``source_file`` (a number), ``source_row`` and ``by_clock``
    beside key and content. A version is where its first row lies.
    Rows that differ in ``first`` alone are one, with the smallest; of two contents of one key the smallest
    (``first``, hash of the row) stays; where the first of ``key`` matches ``made_id``, the stored one. ``copies``
    counts the rows, ``stored`` says whether one of them was stored.
    """
    several = rows.group_by(*content).agg(
        **({first: rows[first].min()} if first else {}),
        copies=rows.count(),
        stored=rows.stored.any(),
        by_clock=rows.by_clock.all(),
        position=(rows.source_file.cast("int64") * ROWS_PER_FILE + rows.source_row).min(),
    )
    several = several.mutate(
        source_file=(several.position // ROWS_PER_FILE).cast("int32"), source_row=several.position % ROWS_PER_FILE
    )
    values = [several[name].cast("string").fill_null("") for name in content]
    hashed = several.mutate(row_hash=ibis.literal("\x1f").join(values).hexdigest("md5"))
    order: list[str | ir.Value] = [*([first] if first else []), "row_hash"]
    if made_id is not None:
        order.insert(0, ibis.desc(hashed[key[0]].re_search(made_id) & hashed.stored))
    return hashed.mutate(place=ibis.row_number().over(group_by=list(key), order_by=order)).drop("row_hash", "position")


def as_refused(losers: ir.Table, columns: Sequence[str], *, learned: str | None, store: str) -> ir.Table:
    """Versions that lost, as rows of quarantine whose ``source_file`` is still a number; null is in ``store``.

    A time that is only the clock of a command (``by_clock``) is left out: it would make the same version another one
    each time.
    """
    values = {name: losers[name].cast("string") for name in columns}
    if learned is not None:
        values[learned] = losers.by_clock.ifelse(ibis.null("string"), values[learned])
    return losers.select(
        "source_file",
        "source_row",
        reason=ibis.literal("conflict"),
        given=ibis.struct(values).cast("json").cast("string"),
        store=ibis.literal(store),
    )
