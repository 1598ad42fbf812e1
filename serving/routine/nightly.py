"""The nightly routine: new files of the inbox, rollups, features, the online store, scores; safe to run again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from features.build.build import build
from features.build.which_cutoffs import missing_cutoffs
from features.command_line import unforeseen
from features.doctor.clock import REPAIR_CLOCK
from features.exceptions import BellwetherError, InputError, WorkFailedError, counted, listed
from features.external.take import TablesRefusedError, TableTaken, take_tables
from features.feature_store.copied import copied
from features.feature_store.store import open_store
from features.home.home import Home
from features.home.raw_tables import complete_until
from features.home.secret import require_key
from features.ingest.inbox import INBOX_TABLES, Arrival, Refused, TakenFiles, inbox_folder, new_arrivals, unread_files
from features.ingest.ingest import ingest
from features.ingest.late_source import LogEnd, log_end, newest_event
from features.interrupts import was_interrupted
from features.progress import Progress, silent
from features.rollup.count import roll_up
from features.rollup.metrics import count_metrics
from features.storage.lock import exclusive_lock
from features.storage.state_file import remember
from features.windows import DAY, as_cutoff, is_buildable, known_before, newest_cutoff, require_utc
from serving.ledger.ledger import open_ledger
from serving.routine.batch import score_batch
from serving.routine.clock_traces import clock_failure
from serving.routine.nightly_report import Failure, NightlyReport, Source, summed, target_night, together
from serving.routine.undo import kept_as_is

__all__ = ["due_cutoff", "run_nightly"]


_STEPS = ("ingest", "roll up", "build", "materialize", "score")


def due_cutoff(now: datetime, *, grace_hours: float) -> datetime:
    """The cutoff a night at ``now`` is for: today's midnight; yesterday's where the grace is a whole day."""
    today = as_cutoff(require_utc(now, what="now").date())
    return today if known_before(today, grace_hours=grace_hours) < today + DAY else today - DAY


def run_nightly(
    home: Home,
    *,
    as_of: datetime | None = None,
    now: datetime,
    force: bool = False,
    progress: Progress = silent,
) -> NightlyReport:
    """Take the inbox in and bring everything up to one cutoff; running it again changes nothing.

    A step that fails ends the night and is named in the report; what was done before it stays, every store is whole,
    and the next run goes on from there. Where the cutoff lies too long after the newest event, the clock is wrong or
    the source is late: then the stores stay as they were, new files wait, and nobody is scored; ``force`` goes on.

    Raises
    ------
    InputError
        Before the cutoff's late data has had time to arrive, saying from when it works.
    SettingsError
        When the key of the home is lost or another.
    LockHeldError
        When another night is running.
    """
    cutoff = due_cutoff(now, grace_hours=home.settings.grace_hours) if as_of is None else as_cutoff(as_of)
    if not is_buildable(cutoff, now=now, grace_hours=home.settings.grace_hours):
        begin = known_before(cutoff, grace_hours=home.settings.grace_hours)
        earlier = newest_cutoff(now, grace_hours=home.settings.grace_hours)
        raise InputError(
            f"It is too early for {cutoff:%Y-%m-%d}: late data counts until {begin:%Y-%m-%d %H:%M} UTC. Run it from "
            f"then on, or give an earlier cutoff: --as-of {earlier:%Y-%m-%d}."
        )
    require_key(home)
    with exclusive_lock(home.nightly):
        return _Night(home, cutoff, now, progress, force=force).run()


class _Night:
    """One night under its lock."""

    def __init__(self, home: Home, cutoff: datetime, now: datetime, progress: Progress, *, force: bool) -> None:
        self._home = home
        self._cutoff = cutoff
        self._now = now
        self._force = force
        self._progress = progress
        self._report = NightlyReport(cutoff)
        self._left_over: list[Failure] = []

    def run(self) -> NightlyReport:
        traces = clock_failure(self._home, now=self._now)
        if traces is not None and not self._force:
            return self._ended(traces)  # rows that no cutoff sees before their time would make accounts look silent
        self._left_over += [] if traces is None else [traces]
        steps: Sequence[Callable[[], NightlyReport]] = (
            self._ingest,
            self._roll_up,
            self._build,
            self._materialize,
            self._score,
        )
        for name, step in zip(_STEPS, steps, strict=True):
            try:
                self._report = step()
            except Exception as error:
                if was_interrupted():  # some libraries make another error of it
                    raise KeyboardInterrupt from error
                return self._ended(together([*self._left_over, _failure(name, error)], step=name))
        return self._ended(together([*self._refusal(), *self._left_over]))

    def _ended(self, failure: Failure | None) -> NightlyReport:
        try:
            sources = self._sources()
            ended = replace(self._report, sources=sources, failure=failure)
            remember(self._home.nightly_state, ended.state(self._now))
        except Exception as error:  # noqa: BLE001 - as above
            return replace(self._report, failure=failure or _failure("summary", error))
        return ended

    # ---- the steps ----

    def _ingest(self) -> NightlyReport:
        before = log_end(self._home, now=self._now)  # what this very night loads is no habit yet
        with kept_as_is(self._home) as undo:
            taken = TakenFiles(self._home)
            inbox = new_arrivals(self._home, taken)
            self._report = replace(self._report, unread=tuple(unread_files(self._home)), refused=inbox.refused)
            begun = self._report
            arrivals = [arrival for files in inbox.files.values() for arrival in files]
            deadline = known_before(self._cutoff, grace_hours=self._home.settings.grace_hours)
            in_time = [arrival for arrival in arrivals if arrival.written_at < deadline]
            late = [arrival for arrival in arrivals if arrival.written_at >= deadline]
            # Rows that do not say when they were learned of were known when this cutoff closed if their file was there.
            rounds = _one_export_each(in_time)
            for number, batch in enumerate(rounds):
                self._take(batch, taken, now=deadline - (len(rounds) - number) * datetime.resolution)
            for batch in _one_export_each(late):
                self._take(batch, taken, now=self._now)
            end = replace(before, newest_event=newest_event(self._home, now=self._now))
            if end.is_late(self._cutoff) and not self._force:
                undo(taken, [arrival.name for arrival in arrivals])
                self._report = replace(begun, is_source_late=True)
                raise WorkFailedError(_source_late(end, self._cutoff, waiting=len(arrivals)))
        return self._report

    def _take(self, arrivals: Sequence[Arrival], taken: TakenFiles, *, now: datetime) -> None:
        if not arrivals:
            return
        try:
            self._take_together(arrivals, taken, now=now)
        except (InputError, OSError) as error:
            if len(arrivals) == 1:
                refused = Refused(arrivals[0].name, str(error))
                self._report = replace(self._report, refused=(*self._report.refused, refused))
                return
            for arrival in arrivals:  # one bad file must not keep the others out
                self._take([arrival], taken, now=now)

    def _take_together(self, arrivals: Sequence[Arrival], taken: TakenFiles, *, now: datetime) -> None:
        given = {table: [arrival.path for arrival in arrivals if arrival.table == table] for table in INBOX_TABLES}
        report = ingest(
            self._home,
            now=now,
            events=given["events"],
            accounts=given["accounts"],
            subscriptions=given["subscriptions"],
            touchpoints=given["touchpoints"],
            progress=self._progress,
        )
        useless = report.nothing_stored
        stored = [arrival for arrival in arrivals if arrival.table not in useless]
        taken.add(stored, known_at=now)
        refused = (Refused(file.name, useless[file.table]) for file in arrivals if file.table in useless)
        self._report = replace(
            self._report,
            files_taken=self._report.files_taken + len(stored),
            refused=(*self._report.refused, *refused),
            tables=summed((*self._report.tables, *report.tables)),
            notes=tuple(dict.fromkeys((*self._report.notes, *report.notes))),
        )

    def _roll_up(self) -> NightlyReport:
        try:
            self._note(take_tables(self._home, now=self._now))
        except InputError as error:  # what was taken before still counts, as long as it is not too old
            self._note(error.taken if isinstance(error, TablesRefusedError) else ())
            why = f"{error} The rows taken before go on being used."
            self._left_over.append(Failure("ingest", WorkFailedError(why)))
        done = roll_up(self._home, progress=self._progress)
        return replace(self._report, days_counted=done.days_counted)

    def _note(self, taken: Sequence[TableTaken]) -> None:
        notes = [note for table in taken for note in table.notes]
        self._report = replace(self._report, notes=tuple(dict.fromkeys((*self._report.notes, *notes))))

    def _build(self) -> NightlyReport:
        count_metrics(self._home, progress=self._progress)  # what they change makes a cutoff outdated
        cutoffs = missing_cutoffs(self._home, self._cutoff)
        done = build(self._home, cutoffs, now=self._now, progress=self._progress)
        return replace(self._report, cutoffs_built=done.built)

    def _materialize(self) -> NightlyReport:
        store = open_store(self._home)
        store.apply()
        filled = [view.until for view in store.views()]
        online = max((until for until in filled if until is not None), default=None)
        if online is not None and online > self._cutoff:
            self._left_over.append(
                Failure("materialize", WorkFailedError(_newer_online(online, self._cutoff, self._now)))
            )
            return replace(self._report, is_online_kept=True)
        copy = copied(self._home)
        is_copied = copy is not None and copy.is_of(self._home, self._cutoff) and copy.is_held(self._home)
        if set(filled) == {self._cutoff} and is_copied:
            return replace(self._report, is_online_kept=True)
        accounts = store.materialize(self._cutoff, progress=self._progress)
        return replace(self._report, accounts_online=accounts)

    def _score(self) -> NightlyReport:
        run = score_batch(self._home, as_of=self._cutoff, now=self._now, progress=self._progress)
        if run.failures:
            error = type(run.failures[0])(" ".join(map(str, run.failures)))
            self._left_over.append(Failure("score", error))
        ledger = open_ledger(self._home)
        try:
            return replace(self._report, targets=tuple(target_night(part, ledger) for part in run.targets))
        finally:
            ledger.close()

    # ---- what the report says ----

    def _sources(self) -> tuple[Source, ...]:
        sources = []
        for table in INBOX_TABLES:
            until = complete_until(self._home, table)
            hours = None if until is None else (self._cutoff - until).total_seconds() / 3600
            is_late = table == "events" and hours is not None and hours > self._home.settings.stale_after_hours
            sources.append(Source(table, until, is_late))
        return tuple(sources)

    def _refusal(self) -> list[Failure]:
        refused = self._report.refused
        if not refused:
            return []
        names = listed(file.name for file in refused)
        sentence = (
            f"{counted(len(refused), 'file was|files were')} refused and left in {inbox_folder(self._home)}: {names}. "
            "Everything else was done"
            f"{', but for what follows' if self._left_over else ''}. "
            "Mend or remove them; until then every night tries them again."
        )
        return [Failure("ingest", WorkFailedError(sentence))]


def _one_export_each(arrivals: Sequence[Arrival]) -> list[list[Arrival]]:
    """Arrivals to be taken one list after the other: of exports of several nights the later corrects the earlier.

    Calls correct nothing, and of accounts the last row of several files counts: they are in the first list.
    """
    rounds: list[list[Arrival]] = []
    places: Counter[str] = Counter()
    for arrival in arrivals:
        place = places[arrival.table]
        if arrival.table in ("subscriptions", "touchpoints"):
            places[arrival.table] += 1
        rounds.extend([] for _ in range(place + 1 - len(rounds)))
        rounds[place].append(arrival)
    return rounds


def _source_late(end: LogEnd, cutoff: datetime, *, waiting: int) -> str:
    files = f" {counted(waiting, 'new file waits|new files wait')} in the inbox." if waiting else ""
    return (
        f"The source is late, or the clock is ahead: {end.in_words(cutoff)}. Nothing was taken in or built, and nobody "
        f"was scored.{files} Check the clock (`timedatectl`) and whether the export still runs. Of a log that ended, "
        f"give its end: --as-of {end.cutoff:%Y-%m-%d}. Where all is as it should be, --force goes on, and a larger "
        "source_late_days allows it every night."
    )


def _newer_online(online: datetime, cutoff: datetime, now: datetime) -> str:
    what = f"The online store holds {online:%Y-%m-%d}, newer than {cutoff:%Y-%m-%d}, and the service answers from it."
    if online > now:
        return f"{what} {online:%Y-%m-%d} has not come yet: a clock was ahead. {REPAIR_CLOCK}"
    return f"{what} Everything else was done; `bellwether score --as-of {cutoff:%Y-%m-%d}` is what scores an older day."


def _failure(step: str, error: Exception) -> Failure:
    if isinstance(error, BellwetherError):
        return Failure(step, error)
    return Failure(step, WorkFailedError(f"{unforeseen(error)} What was done before it stays."))
