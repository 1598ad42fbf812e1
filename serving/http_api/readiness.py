"""Whether the service can answer, and which store is away when it cannot."""

import logging
from dataclasses import dataclass

from features.exceptions import DependencyError
from features.feature_store.store import Store
from serving.http_api.live_champions import LiveChampions
from serving.http_api.logs import fields
from serving.ledger.ledger import Ledger

__all__ = ["Fault", "Readiness"]


_log = logging.getLogger("bellwether.serving")


@dataclass(frozen=True)
class Fault:
    """Something the service needs, by its name inside the home, and what is wrong with it."""

    what: str
    why: str


@dataclass(frozen=True)
class Readiness:
    """The stores a service answers from, as they lie there now: also while it answers from those it has open."""

    store: Store
    champions: LiveChampions
    ledger: Ledger

    def faults(self) -> list[Fault]:
        """What is away; nothing where the service is ready. It is the look at which stores are opened anew, too."""
        unread: DependencyError | None = None
        try:
            self.store.ping()
        except DependencyError as error:
            unread = error
            _log.warning("The feature store is away.", extra=fields(why=str(error)))
        store = self.store.faults()
        away = [*store, *filter(None, (self.champions.fault(), self.ledger.fault()))]
        faults = [Fault(error.name, error.fault) for error in away]
        if unread is not None and not store:
            faults.append(Fault("feast", "does not answer; the log says why"))
        if not self.champions.scorers:
            faults.append(Fault("champion", "is missing or does not verify"))
        return faults
