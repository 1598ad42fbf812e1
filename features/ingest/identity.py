"""Gives an event without an id one that is made of what tells it apart, and of the machine where that is known."""

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from features.ingest.pseudonyms import PATH_KEY
from features.ingest.rules import IDENTITY
from features.sources.mapping.declared import HOST

__all__ = ["MADE_ID", "identified", "machine_of", "name_machines", "plain_id", "with_machines"]


_LINE, _COPY = IDENTITY
_PLAIN_CHARACTERS = len("row-") + 32
_PLAIN_ID = "^row-[0-9a-f]{32}$"
_OF_MACHINE = "^row-[0-9a-f]{32}-[0-9a-f]{12}$"
MADE_ID = "^row-[0-9a-f]{32}(-[0-9a-f]{12})?$"
"""What an event id looks like that is made of the row, since the source has none; behind it the machine, if known."""


def identified(rows: ir.Table, key: str) -> ir.Table:
    """Rows without an event id get one, made of all they hold but ``ingested_at``: identical rows are one event.

    A log's line is the identity of its row, whatever the mapping reads of it, so that columns mapped later make no
    other event of it; under a key, since it may hold a secret. Identical lines of one file are as many events, and
    identical rows of two machines are two.
    """
    rows = rows.mutate(synthetic=rows.synthetic.fill_null(False))
    if _LINE in rows.columns:
        values = [ibis.literal(key), rows[_LINE], rows[_COPY].cast("string")]
    else:
        columns = ["account_id", "event_time", PATH_KEY, "method", "status", "latency_ms"]
        columns += ["token", "user_id", "sdk", "sdk_version", "synthetic"]
        values = [rows[name].cast("string").fill_null("") for name in columns if name in rows.columns]
    identity = ibis.literal("row-") + ibis.literal("\x1f").join(values).hexdigest("md5")
    if HOST in rows.columns:
        identity += (ibis.literal("-") + rows[HOST]).fill_null("")
    return rows.mutate(event_id=ibis.coalesce(rows.event_id, identity))


def plain_id(event_id: ir.StringValue) -> ir.StringValue:
    """An event's id without the machine behind one that was made."""
    return event_id.startswith("row-").ifelse(event_id.substr(0, _PLAIN_CHARACTERS), event_id)


def machine_of(event_id: str) -> str:
    """What an id that was made says of the machine; empty where it says nothing."""
    return event_id[_PLAIN_CHARACTERS:]


def name_machines(event_ids: pa.ChunkedArray) -> bool:
    """Whether any of the ids was made with a machine."""
    return bool(pc.any(pc.match_substring_regex(event_ids, _OF_MACHINE)).as_py())


def with_machines(rows: ir.Table) -> ir.Table:
    """The rows without those that do not say their machine while an identical one of their day does: it is that one.

    So machines that are declared later make no second event of what is stored; the first takes its ``ingested_at``.
    """
    rows = rows.mutate(plain=plain_id(rows.event_id), has_machine=rows.event_id.re_search(_OF_MACHINE))
    alike = ibis.window(group_by=["plain", "day"])
    marked = rows.mutate(
        is_known=rows.has_machine.any().over(alike),
        earliest=rows.ingested_at.min(where=rows.event_id.re_search(_PLAIN_ID)).over(alike),
        place=ibis.row_number().over(group_by=["plain", "day", "has_machine"], order_by=["ingested_at", "event_id"]),
    )
    known = marked.filter(marked.has_machine | ~(marked.is_known & marked.event_id.re_search(_PLAIN_ID)))
    is_first = known.has_machine & (known.place == 0)
    moment = is_first.ifelse(ibis.least(known.ingested_at, known.earliest), known.ingested_at)
    return known.mutate(ingested_at=moment).drop("plain", "has_machine", "is_known", "earliest", "place")
