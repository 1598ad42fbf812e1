"""The champions a running process serves: verified, refreshed when the registry changes, the last good one kept."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.exceptions import BellwetherError
from features.home.home import Home
from features.storage.database import DatabaseAwayError
from serving.http_api.logs import fields
from serving.http_api.meters import Meters
from serving.scoring.score import Scorer, load_scorer
from training.labels.targets import TARGETS
from training.models.bundle import BundleError
from training.models.verify import check_apart
from training.registry.champions import Champion, champion, champion_identity
from training.registry.mlflow_client import forget_connections, tracking_address

__all__ = ["REFRESH_SECONDS", "LiveChampions", "Served"]


REFRESH_SECONDS = 2.0
_PATIENCE = 20
"""Looks after which a model that did not load in a process of its own is given another chance."""

_log = logging.getLogger("bellwether.serving")


@dataclass(frozen=True)
class Served:
    """One whole set of models; never changed, only replaced.

    Attributes
    ----------
    scorers
        Target to the model that answers for it.
    notes
        Target to why its model is not the one the registry names, for those of which that is so.
    """

    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


class LiveChampions:
    """Reads the registry now and then; a reader always sees one whole set of models.

    A champion that does not verify is refused, and what was served before stays. So it does when the registry loses its
    champion: a version deleted by hand, or a database that is away, ends no service.
    """

    def __init__(self, home: Home, meters: Meters | None = None) -> None:
        self._home = home
        self._meters = meters or Meters()
        self._served = Served()
        self._database = home.database(home.mlflow_database)
        self._seen: tuple[int, ...] | None = None
        self._settled = False
        self._proved: set[str] = set()
        self._failed: dict[str, int] = {}
        self._refused: dict[str, tuple[str, str]] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def served(self) -> Served:
        """What answers now. Take it once for each request, so that all of its answer belongs together."""
        return self._served

    @property
    def scorers(self) -> Mapping[str, Scorer]:
        """Target to the model that answers for it now; never changed in place."""
        return self._served.scorers

    def refresh(self) -> None:
        """Load what changed in the registry since the last look."""
        with self._lock:
            self._follow()
            seen = self._registry_state()
            if seen is not None and seen == self._seen and self._settled:
                return
            renewed, is_whole = self._served, True
            for target in TARGETS:
                try:
                    renewed = self._renewed(target, renewed)
                except Exception as error:  # noqa: BLE001 - one target that fails must not take the others along
                    is_whole = False
                    renewed = self._noted(target, renewed, _why(error), error)
                self._served = renewed
            # Two writes within one tick of the file's clock look like one: only a second look that finds the same
            # state settles it. What failed is tried again, though nothing changed.
            self._settled = is_whole and seen == self._seen
            self._seen = seen

    def fault(self) -> DatabaseAwayError | None:
        """What is wrong with the registry now, whatever is still served."""
        return self._database.fault()

    def start(self, *, every_seconds: float = REFRESH_SECONDS) -> None:
        """Look now, and then again and again in the background; a look that fails is tried again."""
        self._look()
        self._thread = threading.Thread(target=self._repeat, args=(every_seconds,), name="champions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background look."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _repeat(self, every_seconds: float) -> None:
        while not self._stop.wait(every_seconds):
            self._look()

    def _look(self) -> None:
        try:
            self.refresh()
        except Exception:  # noqa: BLE001 - a refresh that fails must not end refreshing, nor keep the service from starting
            _log.exception("The registry could not be read; the models stay as they were.")

    def _renewed(self, target: str, served: Served) -> Served:
        """``served`` with one target brought to what the registry says."""
        identity = champion_identity(self._home, target)
        now = served.scorers.get(target)
        if identity is None:
            if now is None:
                return _clear(target, served)
            is_away = self._database.fault() is not None
            text = "The registry is away." if is_away else "The registry has no champion of this target any more."
            return self._noted(target, served, text)
        # The bundle as well as the version: a registry that began anew gives the same numbers to other models.
        if now is not None and (now.version, now.sha256) == identity:
            self._refused.pop(target, None)
            return _clear(target, served)
        try:
            changed = self._verified(champion(self._home, target))
        except BundleError:
            if self._refused.get(target) != identity:
                self._refused[target] = identity
                self._meters.refused(target)
            raise
        self._refused.pop(target, None)
        self._meters.served(target, changed.version)
        _log.info("Serving another model.", extra=fields(target=target, model=changed.name, version=changed.version))
        return _clear(target, Served({**served.scorers, target: changed}, served.notes))

    def _verified(self, named: Champion) -> Scorer:
        """The scorer of a bundle that was first loaded in a process of its own, once for each content.

        A model text that LightGBM cannot read may abort the process that tries.
        """
        looks = self._failed.get(named.sha256, 0)
        if looks > 0:
            self._failed[named.sha256] = looks - 1
            raise BundleError(f"{named.name} version {named.version} does not load in a process of its own.")
        if named.sha256 not in self._proved:
            try:
                check_apart(named.bundle_folder, sha256=named.sha256)
            except BundleError:
                self._failed[named.sha256] = _PATIENCE
                raise
            self._proved.add(named.sha256)
            self._failed.pop(named.sha256, None)
        return load_scorer(named)

    def _noted(self, target: str, served: Served, text: str, error: Exception | None = None) -> Served:
        """``served`` with a note on one target, said in the log when it is new."""
        now = served.scorers.get(target)
        note = f"{text} Version {now.version} stays." if now is not None else text
        if served.notes.get(target) != note:
            why = fields(target=target, why=str(error) if isinstance(error, BellwetherError) else None)
            strange = error if not isinstance(error, BellwetherError) else None
            _log.warning("The champion of %s stays as it was. %s", target, note, extra=why, exc_info=strange)
        return Served(served.scorers, {**served.notes, target: note})

    def _follow(self) -> None:
        """Let MLflow open the registry anew, where another file lies in the place of the one that was opened."""
        try:
            state = self._database.look()
        except DatabaseAwayError:  # what is served stays, with a note
            return
        if self._database.opened is not None and not state.is_file_of(self._database.opened):
            forget_connections(self._home)
            self._settled = False
        self._database.opened = state

    def _registry_state(self) -> tuple[int, ...] | None:
        """Changes whenever the registry's database file is written; None when it is no file, and has to be asked."""
        kind, _, path = tracking_address(self._home).partition(":///")
        if kind != "sqlite":
            return None
        return *_written_at(Path(path)), *_written_at(Path(f"{path}-wal"))


def _clear(target: str, served: Served) -> Served:
    """``served`` without a note on the target."""
    return Served(served.scorers, {name: text for name, text in served.notes.items() if name != target})


def _why(error: Exception) -> str:
    """Why a champion was not taken, without names of folders."""
    if isinstance(error, BundleError):
        return "The promoted model does not verify and was refused; the log says why."
    return "The registry cannot be read; the log says why."


def _written_at(path: Path) -> tuple[int, int]:
    """Which file lies there, and when it was written."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_ino, state.st_mtime_ns
