"""Guesses how accounts, subscription events and touchpoints are made of what CRM and billing systems export."""

from collections.abc import Collection, Iterator, Sequence

from features.schema import SUBSCRIPTIONS, TOUCHPOINTS, RawTable, SubscriptionKind
from features.sources.files import SourceFiles
from features.sources.mapping.declared import ENDED
from features.sources.mapping.guesser import Guesser
from features.sources.mapping.known_names import folded
from features.sources.mapping.known_records import (
    ENDED_NAMES,
    KINDS,
    SNAPSHOT_NAMES,
    YEARLY_NAMES,
    kind_of_change,
    names_of,
)
from features.sources.mapping.looks import number_of, plain_values
from features.sources.mapping.toml_text import as_expression, from_column, name_in_sql, text_in_sql
from features.sources.text.rows import Rows

__all__ = ["RecordGuesser"]


_MOST_WORDS = 12
_MONTHS = {
    **dict.fromkeys(("month", "monthly", "months", "1 month", "every month", "mon", "m"), 1),
    **dict.fromkeys(("quarter", "quarterly", "3 months"), 3),
    **dict.fromkeys(("half-year", "semiannual", "semi-annual", "6 months"), 6),
    **dict.fromkeys(("year", "yearly", "annual", "annually", "years", "1 year", "12 months", "y"), 12),
}
_INTERVALS = (
    *("interval", "plan_interval", "billing_interval", "billing_period", "billing_period_unit", "billing_cycle"),
    *("billing_frequency", "subscription_billing_period", "period", "price_interval", "recurring_interval"),
)
_LEAST_CENTS = 500
_ENDED_WORDS = ("canceled", "cancelled", "ended", "expired", "churned", "inactive", "terminated")
_FEW_SHARE, _FULL_SHARE = 0.2, 0.9
_TERM_ENDS = ("end_date", "end", "ends_at", "date_de_fin")
_TICKETS = ("subject", "ticket_id", "ticket", "priority", "ticket_number", "case_number")


class RecordGuesser(Guesser):
    """Knows what is particular to tables about customers.

    ``callers`` are account ids that a log of calls has: the column that holds such ids names the accounts.
    """

    def __init__(
        self,
        table: RawTable,
        files: SourceFiles,
        columns: tuple[str, ...],
        rows: Rows | None,
        callers: Collection[str] = (),
    ) -> None:
        super().__init__(table, files, columns, rows)
        self._callers = set(callers)
        self._is_snapshot = False

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each canonical column and its line, where it needs one; of a table of subscriptions also when each ended."""
        yield from super().lines()
        if self._is_snapshot and (line := self._ended()):
            yield ENDED, line

    def called(self, names: Collection[str], *, with_units: bool = False) -> list[str]:
        """The columns with one of the names, also with that of the subscription before it, as inside an object."""
        columns = super().called(names, with_units=with_units)
        if self.table is not SUBSCRIPTIONS or "id" in names:
            return columns
        inside = super().called([f"subscription_{name}" for name in names], with_units=with_units)
        return list(dict.fromkeys((*columns, *inside)))

    def special(self, name: str) -> str | None:
        """A line that is made before any column is picked."""
        if name == "account_id":
            return self._account()
        if name == "mrr" and name in self.columns and self.why_not(name, name) is None:
            line = self._amount(name)
            return line if "  # " in line else None
        if name == "kind" and self.table is SUBSCRIPTIONS:
            return self._change()
        return self._touch() if name == "kind" and name not in self.columns else None

    def why_not(self, name: str, column: str, *, is_request: bool = False) -> str | None:
        """Why a column is not the one; None where it can be."""
        if name == "term_end" and folded(column) == "end_date" and self._share(column) < _FULL_SHARE:
            return "is empty in many rows, so that it says when a subscription ended"
        if name == ENDED and folded(column) in _TERM_ENDS and self._share(column) >= _FULL_SHARE:
            return "is filled in nearly every row, so that it says when a term ends"
        if name == "kind" and self.table is TOUCHPOINTS:
            is_known = any(str(value) in KINDS for value in self.values[column])
            return None if is_known else "holds no kinds of touchpoints"
        return super().why_not(name, column, is_request=is_request)

    def made(self, name: str) -> str | None:
        """What can be made of other columns where none is it."""
        yearly = [column for column in self.called(YEARLY_NAMES) if column not in self.taken]
        if name == "mrr" and yearly and not self.why_not("mrr", yearly[0]) and self._are_plain(yearly[0]):
            self.taken.add(yearly[0])
            return as_expression(name, f"{_number(yearly[0])} / 12", remark="paid a year, so a twelfth of it")
        if name == "mrr":
            cents = self.called(("mrr_cents", "mrr_in_cents", "amount_cents", "amount_in_cents", "price_cents"))
            if cents and self._are_plain(cents[0]):
                self.taken.add(cents[0])
                return self._amount(cents[0], divisor=100)
        return None

    def line(self, name: str, source: str) -> str:
        """The line of a column that is one of the file."""
        if name == "mrr":
            return self._amount(source)
        return super().line(name, source)

    def _account(self) -> str | None:
        """The column of ids, above all one with ids that call; None where those that are called so are to be asked."""
        if not self._callers:
            return None
        calling = {column: self._calling(column) for column in self.inner}
        named = [column for column in ("account_id", *self.like("account_id")) if calling.get(column)]
        best = max(calling, key=lambda column: calling[column], default="")
        source = max(named, key=lambda column: calling[column]) if named else best
        if not calling.get(source):
            source = next((c for c in ("account_id", *self.like("account_id")) if self.values.get(c)), "")
            remark = "none of its first ids is among those of the calls; is it the same id?"
            self.taken.add(source)
            return from_column("account_id", source, remark=remark) if source else None
        self.taken.add(source)
        if source == "account_id":
            return None
        self.taken.discard("account_id")
        return from_column("account_id", source)

    def _calling(self, column: str) -> int:
        return len(self._callers.intersection(str(value).strip() for value in self.values[column]))

    def _change(self) -> str | None:
        """What happened to a subscription; in a table with a row a subscription, that each has started."""
        for column in dict.fromkeys((*(("kind",) if "kind" in self.columns else ()), *self.like("kind"))):
            values = [str(value).strip() for value in self.values[column]]
            if not values or super().why_not("kind", column) is not None:
                continue
            self.taken.add(column)
            words = list(dict.fromkeys(values))
            if all(word in set(SubscriptionKind) for word in words):
                return None if column == "kind" else from_column("kind", column)
            return self._words(column, words)
        if "kind" in self.columns:
            return self.comment(
                "kind", "its column holds no changes of a subscription; say by an expression what it is"
            )
        if self._repeats():
            return self.comment("kind", "several rows of a subscription, and no column says what happened in each")
        self._is_snapshot = True
        remark = (
            "a row a subscription, as it is now: starts and ends are read, changes of plan are not in it; is it so?"
        )
        states = [column for column in self.called(SNAPSHOT_NAMES) if self.values[column]]
        ended = {str(value).lower() for column in states for value in self.values[column]} & set(_ENDED_WORDS)
        if ended and not self._ended_columns():
            remark = f"some are {' or '.join(sorted(ended))}, and no column says since when: their end is not read?"
        return f'kind = {{ constant = "start" }}  # {remark}'

    def _words(self, column: str, words: Sequence[str]) -> str:
        known = {word.lower(): kind for word in words if (kind := kind_of_change(word)) is not None}
        cases = " ".join(f"WHEN {text_in_sql(word)} THEN '{kind}'" for word, kind in known.items())
        text = f"lower(trim({name_in_sql(column)}))"
        unknown = [word for word in words if kind_of_change(word) is None][:_MOST_WORDS]
        remark = f"what do {', '.join(unknown)} mean? Their rows go to quarantine" if unknown else ""
        return as_expression("kind", f"CASE {text} {cases} ELSE {text} END", remark=remark)

    def _touch(self) -> str | None:
        """The kind of every row of an export of tickets or of a survey; None where a column says it."""
        if any(self.values[column] and self.why_not("kind", column) is None for column in self.like("kind")):
            return None
        if self.called(_TICKETS):
            return 'kind = { constant = "ticket_opened" }  # a row a ticket: is it so?'
        for kind in ("nps", "csat"):
            if self.called((kind, f"{kind}_score")):
                return f'kind = {{ constant = "{kind}" }}  # a row an answer: is it so?'
        return None

    def _ended(self) -> str | None:
        """When the subscriptions ended that did."""
        fitting = self._ended_columns()
        if not fitting:
            return None
        self.taken.add(fitting[0])
        return super().line(ENDED, fitting[0])

    def _ended_columns(self) -> list[str]:
        free = [column for column in self.called(ENDED_NAMES) if column not in self.taken and self.values[column]]
        return [column for column in free if self.why_not(ENDED, column) is None]

    def _repeats(self) -> bool:
        """Whether a table has several rows of most of its subscriptions, or accounts where nothing names those."""
        ids = self.called(names_of(SUBSCRIPTIONS.name)["subscription_id"]) or self.called(
            ("account_id", *names_of(SUBSCRIPTIONS.name)["account_id"])
        )
        values = [str(value) for value in self.values[ids[0]]] if ids else []
        return len(values) - len(set(values)) > _FEW_SHARE * len(values)

    def _amount(self, source: str, *, divisor: int = 1) -> str:
        """What a subscription pays a month, of what it pays each interval."""
        remarks = []
        numbers = [number for value in self.values[source] if (number := number_of(value)) is not None]
        if divisor == 1 and numbers and all(n == int(n) and (n == 0 or n >= _LEAST_CENTS) for n in numbers):
            remarks.append(f"whole numbers of {_LEAST_CENTS} and more: are they cents? Then {_number(source)} / 100")
        for names, what in ((("currency", "currency_code"), "currencies"), (("quantity", "seats"), "quantities")):
            column = next(iter(self.called(names)), None)
            others = sorted({str(value) for value in self.values[column]} - {"1", "1.0"}) if column else []
            if column and len(others) > (what == "currencies"):
                verb = "converted" if what == "currencies" else "multiplied"
                remarks.append(f"{column} has {', '.join(others[:3])}, and nothing is {verb}; is that right?")
        interval = next((column for column in self.called(_INTERVALS) if self.values[column]), None)
        months = {} if interval is None else self._months(interval)
        remark = "; ".join(remarks)
        if interval is None or set(months.values()) <= {1}:
            if interval and not months:
                remark = "; ".join([*remarks, f"is it paid each month? {interval} says what nobody knows here"])
            if divisor != 1:
                return as_expression("mrr", f"{_number(source)} / {divisor}", remark=remark)
            return from_column("mrr", source, remark=remark)
        self.shared.add(interval)
        if not self._are_plain(source):
            self.taken.discard(source)
            return self.comment(
                "mrr", f"{source} is paid {' or '.join(months)}, as {interval} says; make it an amount a month"
            )
        value = _number(source) + (f" / {divisor}" if divisor != 1 else "")
        cases = " ".join(
            f"WHEN {text_in_sql(word)} THEN {value}{f' / {count}' if count > 1 else ''}"
            for word, count in months.items()
        )
        text = name_in_sql(interval)
        # A word that nobody knows fails, and is counted, rather than count as a month.
        return as_expression("mrr", f"CASE lower(trim({text})) {cases} ELSE CAST({text} AS DOUBLE) END", remark=remark)

    def _months(self, column: str) -> dict[str, int]:
        words = dict.fromkeys(str(value).strip().lower() for value in self.values[column])
        return {word: _MONTHS[word] for word in words if word in _MONTHS}

    def _are_plain(self, column: str) -> bool:
        return all(number_of(value) is not None for value in self.values[column])

    def _share(self, column: str) -> float:
        values = self.all_values.get(column, [])
        return len(plain_values(values)) / len(values) if len(values) else 0.0


def _number(column: str) -> str:
    return f"CAST(nullif(trim({name_in_sql(column)}::VARCHAR), '') AS DOUBLE)"
