"""One row of a score run, field by field: where each is kept, and where it is shown.

The ledger has a column for each field, in their order; the list of the API, the export and the terminal show those that
say so. Another field is another line of :class:`ScoreRow`; a ledger that was written before gets its column.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import sqlalchemy as sa

from serving.scoring.freshness import Status

__all__ = ["Column", "ScoreRow", "Surface", "column", "columns", "shown_on"]


Surface = Literal["api", "export", "terminal"]

_NUMBER = sa.Float(53)
_STATUS = sa.Enum(
    Status,
    native_enum=False,
    create_constraint=False,
    length=32,
    values_callable=lambda statuses: [str(status) for status in statuses],
)


@dataclass(frozen=True, slots=True)
class Column:
    """How a field of a row is kept and shown.

    Attributes
    ----------
    sql
        Type of its column in the ledger.
    since
        Version of the ledger that first had it; the newest of all is the version of the ledger.
    api, export, terminal
        Where it stands there: the lowest number first, equal ones in the order of the fields. None where it is not.
    listed_as
        Its type in the API's list, which has only rows with a score; by default the field's own.
    description
        What the API's document says of it.
    """

    sql: sa.types.TypeEngine[Any]
    since: int = 1
    api: int | None = None
    export: int | None = None
    terminal: int | None = None
    listed_as: Any = None
    description: str | None = None


def column(sql: sa.types.TypeEngine[Any], *, default: Any = MISSING, **shown: Any) -> Any:
    """A field of a row with its :class:`Column`."""
    return field(default=default, metadata={"column": Column(sql, **shown)})


def _number(**shown: Any) -> Any:
    return column(_NUMBER, default=None, **shown)


def _text(**shown: Any) -> Any:
    return column(sa.Text(), default=None, **shown)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One account's answer from one model; the numbers are null unless there is a score.

    ``mrr_at_risk`` is monthly recurring revenue times probability, for targets that lose it. ``offer`` says whether an
    upgrade should be offered now; null for other targets, and where nobody knows.
    """

    account_id: str = column(sa.String(128), api=0, export=0, terminal=0, description="As in the log.")
    status: Status = column(  # noqa: RUF009 - it makes a field
        _STATUS, api=2, export=2, description="Stale when the run's features are too old by now."
    )
    detail: str | None = column(
        sa.Text(),
        api=2,
        export=2,
        description="Why, in words, when the status is not scored, or an upgrade is not offered.",
    )
    probability: float | None = _number(
        api=4, export=4, terminal=4, listed_as=float, description="Calibrated probability of the target in its window."
    )
    band: str | None = column(
        sa.String(8),
        default=None,
        api=4,
        export=4,
        terminal=4,
        listed_as=Literal["high", "medium", "low"],
        description="Where the probability lies among the bands of /v1/models.",
    )
    margin: float | None = _number()
    base_margin: float | None = _number()
    mrr: float | None = _number(
        api=4, export=4, terminal=3, description="Monthly recurring revenue; null where none is known."
    )
    mrr_at_risk: float | None = _number(
        api=4, export=4, terminal=4, description="MRR times probability; null for upsell."
    )
    offer: bool | None = column(
        sa.Boolean(),
        default=None,
        since=2,
        api=3,
        export=4,
        terminal=4,
        description="Only for upsell: whether to offer the upgrade now; see /v1/score.",
    )
    name: str | None = _text(api=1, export=1, terminal=1, description="The customer, as the accounts table says.")
    owner: str | None = _text(api=1, export=1, terminal=1, description="Who looks after the account.")
    segment: str | None = _text(api=1, export=1, description="As the accounts table says.")

    def shown(self, surface: Surface) -> dict[str, Any]:
        """Field to value, of those that are shown there and in the order in which they are."""
        return {name: getattr(self, name) for name in shown_on(surface, type(self))}


def columns(row: type[ScoreRow] = ScoreRow) -> Mapping[str, Column]:
    """Field to how it is kept and shown, in their order; what a row has beside its columns is not among them."""
    return _columns(row)  # type: ignore[arg-type] # mypy takes the hash of the instances for that of the class


def shown_on(surface: Surface, row: type[ScoreRow] = ScoreRow) -> tuple[str, ...]:
    """The fields that are shown there, in the order in which they are."""
    return _shown_on(surface, row)  # type: ignore[arg-type] # as above


@cache
def _columns(row: type[ScoreRow]) -> Mapping[str, Column]:
    return MappingProxyType(
        {entry.name: entry.metadata["column"] for entry in fields(row) if "column" in entry.metadata}
    )


@cache
def _shown_on(surface: Surface, row: type[ScoreRow]) -> tuple[str, ...]:
    places = {name: getattr(layout, surface) for name, layout in columns(row).items()}
    return tuple(sorted((name for name, place in places.items() if place is not None), key=places.__getitem__))
