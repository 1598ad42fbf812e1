"""Our Prometheus metrics: requests by route, wrong keys, and which model each worker serves.

BentoML's own are switched off: they make a label of every path a client thinks of, which grows without bound and
repeats what was sent.
"""

import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["CONTENT_TYPE", "Meters"]


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable in which BentoML names the folder its workers share; without it a process counts for itself."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


class Meters:
    """Counts of one process; :meth:`page` adds up those of every worker.

    ``prometheus_client`` looks at the environment when it is imported, so nothing is made before it is used.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._served: dict[str, str] = {}

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; ``route`` is one of a known few."""
        self._requests.labels(route, method, str(status)).inc()
        self._durations.labels(route).observe(seconds)

    def served(self, target: str, version: str) -> None:
        """Say which version of a target's model this process serves from now on."""
        with self._lock:
            before = self._served.get(target)
            if before is not None and before != version:
                self._models.labels(target, before).set(0)
            self._models.labels(target, version).set(1)
            self._served[target] = version
        self.refused(target, times=0)

    def refused(self, target: str, *, times: int = 1) -> None:
        """Count a promoted model that was not taken."""
        self._refusals.labels(target).inc(times)

    def failed_key(self) -> None:
        """Count a key that was sent and is none of those that may ask."""
        self._failed_keys.inc()

    def source_late(self, *, is_late: bool) -> None:
        """Say whether the last night scored nobody, since the call log ends too early."""
        self._source.set(is_late)

    def page(self) -> bytes:
        """The metrics of every worker as Prometheus reads them."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        if not os.environ.get(_FOLDER):
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)

    @cached_property
    def _registry(self) -> "CollectorRegistry":
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import mark_process_dead

        if folder := os.environ.get(_FOLDER):
            # A worker that was killed could not say so, and its models would be listed for ever.
            numbers = {name.rpartition("_")[2].removesuffix(".db") for name in os.listdir(folder)}  # noqa: PTH208
            for number in numbers:
                if number.isdigit() and not psutil.pid_exists(int(number)):
                    mark_process_dead(int(number))  # type: ignore[no-untyped-call]
        return CollectorRegistry()

    @cached_property
    def _requests(self) -> "Counter":
        from prometheus_client import Counter

        labels = ("route", "method", "status")
        return Counter("bellwether_requests", "Answers given.", labels, registry=self._registry)

    @cached_property
    def _durations(self) -> "Histogram":
        from prometheus_client import Histogram

        text = "Seconds from the first byte of a request to the last of its answer."
        return Histogram("bellwether_request_seconds", text, ("route",), buckets=_SECONDS, registry=self._registry)

    @cached_property
    def _refusals(self) -> "Counter":
        from prometheus_client import Counter

        text = "Promoted models that did not verify; the last good one stayed."
        return Counter("bellwether_refused_models", text, ("target",), registry=self._registry)

    @cached_property
    def _failed_keys(self) -> "Counter":
        from prometheus_client import Counter

        return Counter("bellwether_failed_keys", "Keys that were sent and may not ask.", registry=self._registry)

    @cached_property
    def _models(self) -> "Gauge":
        from prometheus_client import Gauge

        text = "1 for the version of each target's model that a worker (pid) serves, 0 for those it served before."
        labels = ("target", "version")
        return Gauge("bellwether_served_model", text, labels, multiprocess_mode="liveall", registry=self._registry)

    @cached_property
    def _source(self) -> "Gauge":
        from prometheus_client import Gauge

        text = "1 where the last night scored nobody, since the call log ends too early."
        return Gauge("bellwether_source_late", text, registry=self._registry, multiprocess_mode="mostrecent")
