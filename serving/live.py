"""The champions a running process serves: verified, refreshed when the registry changes, the last good one kept."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from features.settings import Settings
from serving.scoring import Scorer, load_scorer
from training.registry import champion, champion_identity
from training.targets import TARGETS

__all__ = ["REFRESH_SECONDS", "LiveChampions"]

REFRESH_SECONDS = 3.0

_log = logging.getLogger("bellwether.serving")


class LiveChampions:
    """Reads the registry now and then; a reader always sees one whole set of models.

    A champion that does not verify is refused, and what was served before stays.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scorers: Mapping[str, Scorer] = {}
        self._seen: tuple[int, ...] | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def scorers(self) -> Mapping[str, Scorer]:
        """Target to the model that answers for it now; never changed in place."""
        return self._scorers

    def refresh(self) -> None:
        """Load what changed in the registry since the last look."""
        with self._lock:
            seen = self._registry_state()
            if seen == self._seen:
                return
            scorers, all_read = dict(self._scorers), True
            for target in TARGETS:
                try:
                    self._renew(target, scorers)
                except Exception as error:  # noqa: BLE001 - one target that fails must not take the others along
                    all_read = False
                    _log.warning("The champion of %s stays as it was: %s", target, error)
            self._scorers = scorers
            # What failed is tried again at the next look, though nothing changed.
            self._seen = seen if all_read else None

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

    def _renew(self, target: str, scorers: dict[str, Scorer]) -> None:
        """Bring one target of ``scorers`` to what the registry says."""
        identity = champion_identity(self._settings, target)
        if identity is None:
            if target in scorers:
                del scorers[target]
                _log.warning("%s has no champion any more; it is not served.", target)
            return
        served = scorers.get(target)
        # The bundle as well as the version: a registry that began anew gives the same numbers to other models.
        if served is None or (served.version, served.sha256) != identity:
            scorers[target] = changed = load_scorer(champion(self._settings, target))
            _log.info("Serving %s version %s.", changed.name, changed.version)

    def _registry_state(self) -> tuple[int, ...]:
        """Changes whenever the registry's database is written; costs two looks at the file system."""
        database = self._settings.home / "mlflow" / "mlflow.db"
        return tuple(_written_at(path) for path in (database, Path(f"{database}-wal")))


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
