"""What an account has subscribed to, in plain Python: one account and one moment at a time, nothing but loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

DAY = timedelta(days=1)
RENEWING = {"start", "renew", "upgrade", "reactivate"}


@dataclass(frozen=True)
class Days:
    """The settings that matter."""

    renewal: timedelta = 14 * DAY
    reactivation: timedelta = 14 * DAY


@dataclass(frozen=True)
class Row:
    """One subscription event; ``order`` is its position in the file."""

    account: str
    occurred: datetime
    known: datetime
    kind: str
    plan: str | None = None
    mrr: float | None = None
    quota: float | None = None
    ends: datetime | None = None
    order: int = 0
    id: str | None = None


@dataclass
class Line:
    """The rows of one subscription."""

    rows: list[Row] = field(default_factory=list)
    id: str | None = None
    old_plans: dict[str, datetime | None] = field(default_factory=dict)
    restart: datetime | None = None

    def stating(self) -> list[Row]:
        return [row for row in self.rows if row.kind not in {"cancel", "cancel_notice"}]

    @property
    def plan(self) -> str | None:
        return ([None] + [row.plan for row in self.stating() if row.plan is not None])[-1]

    @property
    def price(self) -> float:
        return ([0.0] + [row.mrr for row in self.stating() if row.mrr is not None])[-1]

    @property
    def is_open(self) -> bool:
        others = [row.kind for row in self.rows if row.kind != "cancel_notice"]
        return not others or others[-1] != "cancel"

    @property
    def term(self) -> datetime | None:
        term = None
        for row in self.rows:
            if row.kind == "cancel_notice":
                term = row.ends or term
            elif row.kind != "cancel":
                term = row.ends
        return term


def sort(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=position)


def position(r: Row) -> Any:
    nothing = lambda value: (value is not None, value if value is not None else 0)  # noqa: E731
    text = lambda value: (value is not None, value or "")  # noqa: E731
    ends = lambda value: (value is not None, value.timestamp() if value else 0)  # noqa: E731
    return (
        r.occurred,
        r.known,
        r.order,
        r.kind,
        text(r.plan),
        nothing(r.mrr),
        nothing(r.quota),
        ends(r.ends),
        text(r.id),
    )


def corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows that stand, each with the time it was known and the order of what it corrects: that is its place."""
    standing: list[tuple[Row, Row]] = []  # what stands, and whose place it takes
    for learned in sorted({row.known for row in rows}):
        batch = [row for row in sort(rows) if row.known == learned]
        of_moment = lambda a, b: (a.id, a.occurred, a.kind) == (b.id, b.occurred, b.kind)  # noqa: E731
        left = [pair for pair in standing if not any(of_moment(pair[0], row) for row in batch)]
        before = [pair for pair in standing if pair not in left]
        arriving = []
        gone: list[tuple[Row, Row]] = []
        for is_second_look in (False, True):
            for row in batch:
                if any(row is new for new, _ in arriving):
                    continue
                mates = [pair for pair in before if of_moment(pair[0], row)]
                same = [pair for pair in mates if row.id is not None or pair[0].plan == row.plan]
                if same:
                    arriving.append((row, same[-1][1]))
                    gone += same
                elif is_second_look:
                    twins = [pair for pair in arriving if of_moment(pair[0], row) and pair[0].plan == row.plan]
                    free = [
                        pair
                        for pair in mates
                        if pair not in gone
                        and (None in (pair[0].plan, row.plan) or row.kind not in {"renew", "cancel", "cancel_notice"})
                    ]
                    if twins:
                        arriving.append((row, twins[0][1] if twins[0][0] is not twins[0][1] else row))
                        continue
                    # Of what is free of each plan the last row stands; the plan whose row stands first gives way.
                    last = {pair[0].plan: pair for pair in free}
                    first = min(last.values(), key=lambda pair: position(pair[1]), default=None)
                    gone += [pair for pair in mates if first is not None and pair[0].plan == first[0].plan]
                    arriving.append((row, row if first is None else first[1]))
        standing = [*left, *(pair for pair in before if pair not in gone), *arriving]
        standing.sort(key=lambda pair: position(pair[1]))
    standing.sort(key=lambda pair: (position(pair[1]), position(pair[0])))
    return [replace(row, known=place.known, order=order) for order, (row, place) in enumerate(standing)]


def lines_of(rows: Sequence[Row], days: Days) -> list[Line]:
    """The subscriptions of one account, from the rows that are known; a cancellation that ends nothing is in none."""
    rows = corrected(rows)
    twice = {(r.occurred, r.kind, r.plan, r.mrr) for r in rows if r.id is not None}
    lines: list[Line] = []
    last: Line | None = None

    def new(name: str | None = None) -> Line:
        lines.append(Line(id=name))
        return lines[-1]

    for row in sort([r for r in rows if r.id is not None or (r.occurred, r.kind, r.plan, r.mrr) not in twice]):
        alive = [line for line in lines if line.is_open]
        alive = [line for line in alive if line.id is None] or alive
        same = [line for line in alive if row.plan is not None and line.plan == row.plan]
        closed = [line for line in reversed(lines) if not line.is_open]
        back = [line for line in reversed(lines) if row.plan is not None and line.plan == row.plan]
        rest = (back or ([last] if last else []))[:1]
        dearest = sorted(alive, key=lambda line: (-line.price, lines.index(line)))[:1]
        if row.id is not None:
            mine = [line for line in lines if line.id == row.id]
            if not mine and row.kind != "start":
                unnamed = [line for line in alive if line.id is None]
                mine = [line for line in unnamed if line in same] or unnamed
            target = mine[0] if mine else new(row.id)
            target.id = row.id
        elif row.kind == "start":
            runs = [line for line in alive if line.term is None or line.term > row.occurred]
            again = [line for line in runs if line in same] or [
                line for line in dearest_of(runs, lines) if row.plan is None
            ]
            if not again:
                again = dearest_of([line for line in runs if line.plan is None], lines)
            if again:
                target = again[0]
                is_dear = row.mrr is not None and row.mrr != target.price
                starts = [start.occurred for start in target.rows if start.kind == "start"]
                if row.occurred not in starts[-1:]:
                    target.restart = row.occurred + (days.reactivation if is_dear else min(DAY, days.reactivation))
            else:
                target = new() if runs or not rest else rest[0]
        elif row.kind == "cancel":
            if len(alive) == 1 and ends_the_past(alive[0], row):
                continue
            target = (same or alive or rest or [new()])[0] if (same or alive or rest) else new()
        elif same:
            target = same[0]
        elif row.kind == "reactivate" and closed:
            target = ([line for line in closed if row.plan is not None and line.plan == row.plan] or closed)[0]
        else:
            at_price = [line for line in alive if row.plan is None and row.mrr is not None and line.price == row.mrr]
            priced = at_price if row.kind in ("renew", "cancel_notice") else []
            target = (priced or dearest or rest)[0] if (priced or dearest or rest) else new()
        if row.kind == "cancel":
            target.restart = None
            target.old_plans = {}
        elif row.kind != "cancel_notice" and row.plan is not None:
            before = target.plan
            if target.rows and target.is_open and before not in (None, row.plan):
                target.old_plans[str(before)] = None if row.kind == "start" else row.occurred + days.reactivation
            target.old_plans.pop(row.plan, None)
        target.rows.append(row)
        last = target
    return lines


def dearest_of(some: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    return sorted(some, key=lambda line: (-line.price, lines.index(line)))[:1]


def ends_the_past(line: Line, row: Row) -> bool:
    if row.plan is not None and row.plan != line.plan and row.plan in line.old_plans:
        until = line.old_plans.pop(row.plan)
        return until is None or row.occurred < until
    until, line.restart = line.restart, None
    return until is not None and row.occurred < until


def renews(row: Row) -> bool:
    return row.kind in RENEWING or (row.kind == "downgrade" and row.ends is not None and row.ends > row.occurred)


def filled(rows: Sequence[Row]) -> list[tuple[Row, datetime | None, float | None]]:
    """Each row of a subscription with the term and the quota it leaves."""
    result: list[tuple[Row, datetime | None, float | None]] = []
    ends: datetime | None = None
    quota: float | None = None
    for row in rows:
        if row.kind == "cancel_notice":
            result.append((row, row.ends or ends, row.quota if row.quota is not None else quota))
        else:
            ends, quota = row.ends, row.quota
            result.append((row, ends, quota))
    return result


def line_at(line: Line, moment: datetime, days: Days, now: datetime) -> dict[str, Any] | None:
    """The state of one subscription from its rows before a moment, at ``now``; None before its first row."""
    rows = [entry for entry in filled(line.rows) if entry[0].occurred < moment]
    if not rows:
        return None
    plan = price = None
    is_open, term = True, None
    shown: dict[str, Any] = {}
    for row, ends, quota in rows:
        if row.kind not in {"cancel", "cancel_notice"}:
            plan, price = row.plan if row.plan is not None else plan, row.mrr if row.mrr is not None else price
        if row.kind == "cancel":
            is_open, term = False, None
        else:
            is_open = is_open if row.kind == "cancel_notice" else True
            is_later = ends is not None and ends > row.occurred
            is_renewed = row.kind in RENEWING or (row.kind == "downgrade" and is_later)
            is_quiet = (not is_renewed and ends is not None and not is_later) or (not is_renewed and ends is None)
            if is_quiet and term is not None and term <= row.occurred:
                pass  # the term that has passed still ends what it ended
            else:
                term = ends if is_later else None
        notice_plan = row.plan if row.kind == "cancel_notice" and row.plan is not None else None
        notice_price = row.mrr if row.kind == "cancel_notice" and row.mrr is not None else None
        shown = {
            "plan": notice_plan or plan or row.plan,
            "mrr": price if notice_price is None else notice_price,
            "quota": quota,
            "term_end": ends,
            "is_cancelled": row.kind == "cancel",
            "row": row,
        }
    name = shown["plan"]
    shown["oldest"] = (line.rows[0].occurred, name is None, name or "", shown["row"].id or "")
    shown["runs"] = is_open and (term is None or term + days.renewal > now)
    return shown


def account_at(
    lines: Sequence[Line], moment: datetime, days: Days, now: datetime | None = None
) -> dict[str, Any] | None:
    """The state of an account just before a moment, from the lines of what is known; None before its first row."""
    states = [state for line in lines if (state := line_at(line, moment, days, now or moment)) is not None]
    if not states:
        return None
    running = [state for state in states if state["runs"]]
    prices = [state["mrr"] for state in running if state["mrr"] is not None]
    if running:
        dearest = min(
            running,
            key=lambda s: (s["mrr"] is None, -(s["mrr"] or 0), s["oldest"], key_of(s["row"])),
        )
    else:
        dearest = max(states, key=lambda s: key_of(s["row"]))
    quotas = [state["quota"] for state in running]
    return {
        "is_subscribed": bool(running),
        "is_cancelled": not running and dearest["is_cancelled"],
        "mrr": sum(prices) if prices else (None if running else 0.0),
        "quota": None if not running or None in quotas else sum(quotas),
        "plan": dearest["plan"],
        "term_end": dearest["term_end"],
    }


def key_of(row: Row) -> Any:
    return (row.occurred, row.known, row.order, row.kind, row.plan or "", row.id or "")


def moments_of(lines: Sequence[Line], days: Days) -> list[tuple[datetime, Row | None]]:
    """Everything at which the account's state may change, in order: its rows, and ends of the time to renew."""
    rows = [(row.occurred, row) for row in sort([row for line in lines for row in line.rows])]
    lapses = {ends + days.renewal for line in lines for _, ends, _ in filled(line.rows) if ends is not None}
    return sorted(
        [*rows, *((lapse - timedelta(microseconds=1), None) for lapse in lapses)],
        key=lambda pair: (pair[0], pair[1] is None),
    )


def history(
    lines: Sequence[Line], until: datetime, days: Days
) -> Iterator[tuple[datetime, Row | None, dict[str, Any]]]:
    """The account's state after each of its rows and lapses before ``until``, row after row also at one moment."""
    done: list[Row] = []
    before: dict[str, Any] | None = None
    for moment, row in moments_of(lines, days):
        if moment >= until:
            return
        if row is not None:
            done.append(row)
        # Cut every line to the rows that came so far, and ask for the state right after them.
        cut = [Line([each for each in line.rows if any(each is seen for seen in done)]) for line in lines]
        after = moment + timedelta(microseconds=1)
        state = account_at([line for line in cut if line.rows], after, days, moment if row is not None else after)
        if state is not None and (row is not None or state != before):
            yield moment, row, state
        before = state


def known_at(rows: Sequence[Row], cutoff: datetime, grace: timedelta) -> list[Row]:
    return [row for row in rows if row.occurred < cutoff and row.known < cutoff + grace]


def as_known(rows: Sequence[Row], cutoff: datetime, grace: timedelta, days: Days) -> dict[str, Any] | None:
    """Everything about an account as known at a cutoff; None without a row."""
    lines = lines_of(known_at(rows, cutoff, grace), days)
    state = account_at(lines, cutoff, days)
    if state is None:
        return None
    since = left = plan = None
    was_subscribed, is_first, changed, kind_left = False, True, 0, ""
    returns: list[datetime] = []
    steps = list(history(lines, cutoff, days))
    for place, (moment, row, after) in enumerate(steps):
        kind = row.kind if row is not None else "lapse"
        if after["is_subscribed"] and not was_subscribed:
            is_soon = left is not None and moment - left < days.reactivation
            is_undone = kind in {"start", "reactivate"} and kind_left == "cancel" and is_soon
            if kind == "reactivate" or (kind == "start" and not is_undone):
                since = moment
            if not is_first and not is_undone:
                returns.append(moment)
        if was_subscribed and not after["is_subscribed"]:
            left, kind_left = moment, kind
        was_subscribed, is_first = after["is_subscribed"], False
        is_last = place + 1 == len(steps) or steps[place + 1][0] != moment
        if after["is_subscribed"] and after["plan"] is not None and is_last:
            changed += plan is not None and plan != after["plan"] and moment >= cutoff - 364 * DAY
            plan = after["plan"]
    return {**state, "since": since, "plan_changes": changed, "returns": returns}


def departures(rows: Sequence[Row], until: datetime, days: Days) -> list[tuple[datetime, datetime | None]]:
    """When the account left, and when it came back, from everything known at ``until``."""
    lines = lines_of([row for row in rows if row.known <= until], days)
    ended: list[tuple[datetime, datetime, bool, datetime | None, int]] = []
    for number, line in enumerate(lines):
        mine = filled(line.rows)
        is_away = False
        for place, (row, ends, _) in enumerate(mine):
            rest = [(r, e) for r, e, _ in mine[place + 1 :]]
            goes_on = lambda r, e: r.kind in RENEWING or (r.kind == "downgrade" and e is not None and e > r.occurred)  # noqa: E731
            is_away &= not goes_on(row, ends)
            left = []
            if row.kind == "cancel" and not any(
                r.kind in {"start", "reactivate"} and r.occurred < row.occurred + days.reactivation for r, _ in rest
            ):
                left.append((row.occurred, row.occurred + days.reactivation, True))
            if (
                row.kind != "cancel"
                and ends is not None
                and row.occurred < ends
                and not any(r.occurred < ends for r, _ in rest)
                and not any(goes_on(r, e) and r.occurred < ends + days.renewal for r, e in rest)
            ):
                left.append((ends, ends + days.renewal, False))
            if left and not is_away:
                back = next((r.occurred for r, e in rest if goes_on(r, e)), None)
                ended.append((*min(left), back, number))
                is_away = True
    found: list[tuple[datetime, datetime | None]] = []
    for left_at, undone_before, is_cancel, _, _ in sorted(ended, key=lambda end: end[:3]):
        if any(runs_at(number, line, left_at, ended) for number, line in enumerate(lines)):
            continue
        if found and found[-1][0] == left_at:
            continue
        rank = lambda kind: kind not in {"start", "reactivate"}  # noqa: E731
        firsts = [line.rows[0] for line in lines if line.rows[0].occurred > left_at]
        later = [(row.occurred, rank(row.kind), row.kind) for row in firsts]
        for _, _, _, back, number in ended:
            if back is not None and back > left_at:
                kinds = [row.kind for row in lines[number].rows if row.occurred == back]
                later.append((back, rank(kinds[-1]), kinds[-1]))
        following = min(later, default=None)
        is_soon = following is not None and following[0] < undone_before
        if is_soon and following and (not is_cancel or following[2] in {"start", "reactivate"}):
            continue
        found.append((left_at, following[0] if following else None))
    return found


def runs_at(number: int, line: Line, moment: datetime, ended: Sequence[tuple[Any, ...]]) -> bool:
    """Whether a subscription runs on just after a moment, its ends being known."""
    if line.rows[0].occurred > moment:
        return False
    mine = sorted((left, back) for left, _, _, back, of in ended if of == number)
    return not any(left <= moment and (back is None or moment < back) for left, back in mine)


def upgrades(
    rows: Sequence[Row], ranks: Mapping[str, int], cutoff: datetime, until: datetime, days: Days
) -> Iterator[datetime]:
    """When the account came to pay for more than at the cutoff, from everything known at ``until``."""
    known = [row for row in rows if row.known <= until]
    lines = lines_of(known, days)
    end = max((row.occurred for row in known), default=cutoff) + 1000 * DAY
    returns = (as_known(rows, end, until - end, days) or {"returns": []})["returns"]
    at_cutoff = before = None
    steps = [step for step in history(lines, end, days) if step[1] is None or step[1].kind != "cancel_notice"]
    for moment in sorted({step[0] for step in steps}):
        now = [step for step in steps if step[0] == moment]
        kinds = {row.kind if row is not None else "lapse" for _, row, _ in now}
        after = now[-1][2]
        if not after["is_subscribed"]:
            continue
        rank = ranks.get(after["plan"]) if after["plan"] else None
        if moment < cutoff:
            at_cutoff = (rank, after["mrr"])
        elif kinds - {"cancel", "lapse"} and at_cutoff is not None:
            is_larger = None not in (rank, before, at_cutoff[0]) and rank > max(before, at_cutoff[0])  # type: ignore[type-var,operator]
            price, old = after["mrr"], at_cutoff[1]
            is_dearer = None not in (price, old) and price * 10 >= old * 11 - 1e-5 and price > old
            if (is_larger and moment not in returns) or ("upgrade" in kinds and is_dearer):
                yield moment
        before = rank
