"""The BentoML service: a thin class around the API, with :mod:`serving.arbiter` the only place that imports bentoml."""

import json
import os
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.exceptions import DependencyError
from features.home.home import Home
from features.settings.load import load_settings
from features.start import start

start()

import bentoml  # noqa: E402 - telemetry is switched off before BentoML looks

from features.feature_store.store import open_store  # noqa: E402
from serving.arbiter import end_with_supervisor, supervise_privately  # noqa: E402
from serving.http_api.address import PASSING_FOLDER  # noqa: E402
from serving.http_api.answers import Answerer  # noqa: E402
from serving.http_api.connections import ConnectionLimits, bound_connections  # noqa: E402
from serving.http_api.hosts import names_of  # noqa: E402
from serving.http_api.live_champions import LiveChampions  # noqa: E402
from serving.http_api.logs import log_as_json  # noqa: E402
from serving.http_api.meters import Meters  # noqa: E402
from serving.http_api.middleware import Gatekeeper  # noqa: E402
from serving.http_api.readiness import Readiness  # noqa: E402
from serving.http_api.routes import make_api, score_body  # noqa: E402
from serving.http_api.work_queue import WorkQueue  # noqa: E402
from serving.ledger.ledger import open_ledger  # noqa: E402

__all__ = ["Bellwether"]

# BentoML's own deadline, far above ours, so that ours is the one that speaks.
_TIMEOUT_SECONDS = 120

# How long a store that is away may be on its way back, while what is open of it answers.
_PATIENCE_SECONDS = 10.0


# BentoML warns about its own use of pydantic, and of tornado when it is told to stop, in the middle of a log whose
# lines are JSON.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="_bentoml_sdk")
warnings.filterwarnings("ignore", "add_callback_from_signal", DeprecationWarning)


end_with_supervisor()
supervise_privately(passing=[os.environ[PASSING_FOLDER]] if PASSING_FOLDER in os.environ else [])


def _home() -> Home:
    """The home of this process: ``BELLWETHER_CONFIG`` and ``BELLWETHER_*``, as ``bellwether serve`` hands them on."""
    config = os.environ.get("BELLWETHER_CONFIG")
    return Home(load_settings(Path(config) if config else None))


def _now() -> datetime:
    return datetime.now(UTC)


# BentoML reads workers, middleware and mounts from module-level objects.
_HOME = _home()
_METERS = Meters()
bound_connections(
    ConnectionLimits(
        header_seconds=_HOME.settings.header_seconds,
        idle_seconds=_HOME.settings.idle_seconds,
        connections=_HOME.settings.connections,
    ),
    _METERS,
)
_CHAMPIONS = LiveChampions(_HOME, _METERS)
_STORE = open_store(_HOME, patience_seconds=_PATIENCE_SECONDS)
_LEDGER = open_ledger(_HOME, patience_seconds=_PATIENCE_SECONDS)
_WORK_QUEUE = WorkQueue(threads=_HOME.settings.threads)
_ANSWERER = Answerer(_HOME, _STORE, _CHAMPIONS)
_API = make_api(
    _HOME,
    answerer=_ANSWERER,
    champions=_CHAMPIONS,
    ledger=_LEDGER,
    work_queue=_WORK_QUEUE,
    meters=_METERS,
    readiness=Readiness(_STORE, _CHAMPIONS, _LEDGER),
    clock=_now,
)


@bentoml.service(
    name="bellwether",
    workers=_HOME.settings.workers,
    traffic={"timeout": _TIMEOUT_SECONDS},
    # Metrics and access log repeat every path a client thinks of, and spans take half a millisecond of each request;
    # the gatekeeper counts, times and logs instead.
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(_API, path="/")
class Bellwether:
    """Scores accounts; all HTTP passes :class:`serving.http_api.middleware.Gatekeeper` first."""

    def __init__(self) -> None:
        log_as_json()
        _CHAMPIONS.start()
        with suppress(DependencyError):  # the first list that is asked for says so
            if _HOME.ledger.exists():
                _LEDGER.create()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Stop the background refresh and free what is open."""
        _CHAMPIONS.stop()
        _WORK_QUEUE.close()
        _LEDGER.close()

    @bentoml.api(route="/score")  # type: ignore[untyped-decorator]
    def score(self, account_ids: list[str], targets: list[str] | None = None, reasons: int = 5) -> dict[str, Any]:
        """Score accounts, with reasons.

        BentoML's clients learn the route from here; over HTTP the gatekeeper sends it to ``/v1/score``.
        """
        body = {"account_ids": account_ids, "targets": targets, "reasons": reasons}
        answer: dict[str, Any] = json.loads(score_body(_ANSWERER, json.dumps(body).encode(), "local", _now()))
        return answer


Bellwether.add_asgi_middleware(  # type: ignore[attr-defined]
    Gatekeeper,
    key_digests=[key.get_secret_value() for key in _HOME.settings.api_keys],
    hosts=names_of(_HOME.settings),
    meters=_METERS,
)
