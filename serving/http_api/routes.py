"""The ``/v1`` routes, the OpenAPI document and its page, as an ASGI application without BentoML."""

import base64
import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from features.exceptions import DependencyError
from features.home.home import Home
from features.schema import ACCOUNT_ID_PATTERN
from serving.http_api.address import address
from serving.http_api.answers import Answerer
from serving.http_api.docs_page import docs_page
from serving.http_api.live_champions import LiveChampions
from serving.http_api.logs import fields
from serving.http_api.meters import CONTENT_TYPE, Meters
from serving.http_api.openapi import openapi
from serving.http_api.operations import OPERATIONS
from serving.http_api.problems import OUR_FAULT, HttpProblemError, problem, schema_problem
from serving.http_api.readiness import Readiness
from serving.http_api.request_id import REQUEST_ID
from serving.http_api.schemas import AccountQuery, ScoreRequest
from serving.http_api.work_queue import WorkQueue
from serving.ledger.ledger import AccountRow, Ledger, RunHead
from serving.scoring.freshness import Status, age_hours, old_features, refused_night
from serving.scoring.offers import default_sort
from serving.scoring.score import Scorer
from training.labels.targets import TARGETS
from training.models.bands import in_words

__all__ = ["make_api", "score_body"]


_log = logging.getLogger("bellwether.serving")
_JSON = "application/json"
_SHORT_BYTES = 64 * 1024
_ACCOUNT = re.compile(ACCOUNT_ID_PATTERN)

Clock = Callable[[], datetime]
Endpoint = Callable[[Request], Awaitable[Response]]


def make_api(
    home: Home,
    *,
    answerer: Answerer,
    champions: LiveChampions,
    ledger: Ledger,
    work_queue: WorkQueue,
    meters: Meters,
    readiness: Readiness,
    clock: Clock,
) -> Starlette:
    """The application; :class:`serving.http_api.middleware.Gatekeeper` stands before it."""

    async def score(request: Request) -> Response:
        body = await request.body()
        request_id = request.scope[REQUEST_ID]
        # Read before it is taken on: what it costs is in it. Others wait for the loop, so a long one is read beside it.
        asked = read_body(body) if len(body) <= _SHORT_BYTES else await run_in_threadpool(read_body, body)
        targets = asked.targets if asked.targets is not None else champions.served.scorers
        answer = await work_queue.run(
            lambda: answer_body(answerer, asked, request_id, clock()),
            accounts=len(asked.account_ids) * len(set(targets)),
        )
        return Response(answer, media_type=_JSON)

    async def accounts(request: Request) -> Response:
        query = _query(request)
        page = await work_queue.run(lambda: _accounts_page(ledger, query, home, clock()))
        return _json({**page, "request_id": request.scope[REQUEST_ID]})

    async def models(request: Request) -> Response:
        served = champions.served
        shown = [_model(scorer, served.notes.get(target)) for target, scorer in served.scorers.items()]
        return _json({"models": shown, "request_id": request.scope[REQUEST_ID]})

    async def ready(_request: Request) -> Response:
        # Not by the work queue: a service that is full is ready.
        faults = await run_in_threadpool(readiness.faults)
        if not faults:
            return Response(media_type="text/plain")
        text = f"Not ready: {'; '.join(f'{fault.what} {fault.why}' for fault in faults)}."
        away = [(f"/{fault.what}", f"{fault.why}.".capitalize()) for fault in faults]
        raise HttpProblemError(HTTPStatus.SERVICE_UNAVAILABLE, text, errors=away)

    async def metrics(_request: Request) -> Response:
        # Not by the work queue: a service that is full must still say so.
        meters.source_late(is_late=refused_night(home) is not None)
        return Response(await run_in_threadpool(meters.page), media_type=CONTENT_TYPE)

    document = openapi()
    page = docs_page(document, address=address(home.settings))

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"})

    async def openapi_document(_request: Request) -> Response:
        return _json(document)

    handlers: Mapping[str, Endpoint] = {
        "score": score,
        "accounts": accounts,
        "models": models,
        "ready": ready,
        "metrics": metrics,
        "docs": docs,
        "openapi_document": openapi_document,
    }
    return Starlette(
        routes=[
            Route(
                operation.inner_path or operation.path,
                _reported(handlers[operation.handler]),
                methods=[operation.method.upper()],
            )
            for operation in OPERATIONS
            if operation.handler is not None
        ]
    )


def score_body(answerer: Answerer, body: bytes, request_id: str, now: datetime) -> bytes:
    """The response body for a request body of ``POST /v1/score``.

    Raises
    ------
    HttpProblemError
        As :func:`read_body` and :meth:`Answerer.score`.
    """
    return answer_body(answerer, read_body(body), request_id, now)


def answer_body(answerer: Answerer, asked: ScoreRequest, request_id: str, now: datetime) -> bytes:
    """The response body for what is asked.

    Raises
    ------
    HttpProblemError
        As :meth:`Answerer.score`.
    """
    return _encoded({"results": answerer.score(asked, now=now), "request_id": request_id})


def read_body(body: bytes) -> ScoreRequest:
    """What a request body of ``POST /v1/score`` asks for.

    Raises
    ------
    HttpProblemError
        400 for what is no JSON or names a key twice, 422 for what does not fit the schema.
    """
    try:
        json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        text = "The body is not JSON, or names a key twice. See /docs for an example."
        raise HttpProblemError(HTTPStatus.BAD_REQUEST, text) from error
    try:
        return ScoreRequest.model_validate_json(body)
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            raise HttpProblemError(HTTPStatus.BAD_REQUEST, "The body is not JSON. See /docs for an example.") from error
        raise schema_problem(error, what="body") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    by_name = dict(pairs)
    if len(by_name) != len(pairs):
        raise ValueError
    return by_name


def _reported(endpoint: Endpoint) -> Endpoint:
    """The endpoint with every error said as a problem; the log keeps words that may name paths.

    Here and not further out: an exception that leaves a Starlette application has been answered in plain text.
    """

    async def reported(request: Request) -> Response:
        request_id = request.scope[REQUEST_ID]
        try:
            return await endpoint(request)
        except HttpProblemError as error:
            return error.response(request_id)
        except DependencyError as error:
            _log.warning("Something the service needs is away.", extra=fields(request_id=request_id, why=str(error)))
            text = "The feature store, the ledger or the model is away. Try again in a moment."
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, text, request_id=request_id)
        except Exception:  # noqa: BLE001 - the last one before plain text
            _log.exception("A request failed.", extra=fields(request_id=request_id))
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT, request_id=request_id)

    return reported


def _query(request: Request) -> AccountQuery:
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) != len(pairs):
        raise HttpProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "A query parameter was given more than once.")
    try:
        return AccountQuery.model_validate(dict(pairs))
    except ValidationError as error:
        raise schema_problem(error, what="query") from error


def _accounts_page(ledger: Ledger, query: AccountQuery, home: Home, now: datetime) -> dict[str, Any]:
    run, after = _where(ledger, query)
    rows = ledger.page(
        run.run_id,
        sort=_sort(query),
        limit=query.limit + 1,
        after=after,
        band=query.band,
        owner=query.owner,
        segment=query.segment,
    )
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    late = old_features(
        run.as_of, now, stale_after_hours=home.settings.stale_after_hours, refused_night=refused_night(home)
    )
    return {
        "target": run.target,
        "features_as_of": run.as_of.isoformat(),
        "data_age_hours": round(age_hours(run.as_of, now), 2),
        "scored_at": run.scored_at.isoformat(),
        "horizon_days": run.horizon_days,
        "lead_days": run.lead_days,
        "model": {
            "name": run.model,
            "version": run.version,
            "kind": "model" if run.rule is None else "rule",
            "rule": run.rule,
        },
        "accounts": [_summary(row, late) for row in shown],
        "next_cursor": _cursor(run, query, shown[-1]) if more else None,
    }


def _where(ledger: Ledger, query: AccountQuery) -> tuple[RunHead, tuple[float, str] | None]:
    """The run to read, and the row to go on after: the latest run, or the one the cursor began on."""
    if query.cursor is None:
        latest = ledger.latest(query.target)
        if latest is None:
            text = "There is no score run of this target yet. Run `bellwether score`."
            raise HttpProblemError(HTTPStatus.NOT_FOUND, text)
        return latest, None
    broken = HttpProblemError(
        HTTPStatus.BAD_REQUEST,
        "The cursor is not one this service gave. Send `next_cursor` as it came, or begin again without it.",
        errors=[("/cursor", "Not a cursor.")],
    )
    mismatch = HttpProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The cursor does not belong to this list. Send the same filters, or begin again without it.",
        errors=[("/cursor", "Not a cursor of this list.")],
    )
    try:
        run_id, filters, value, account = json.loads(base64.urlsafe_b64decode(query.cursor.encode()))
        after = float(value), str(account)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # binascii's and Unicode's are ValueErrors
        raise broken from error
    if not (isinstance(run_id, str) and run_id.isascii() and math.isfinite(after[0]) and _ACCOUNT.fullmatch(after[1])):
        raise broken
    run = ledger.run(run_id)
    if run is None or filters != _filters(query) or run.target != query.target:
        raise mismatch
    return run, after


def _cursor(run: RunHead, query: AccountQuery, last: AccountRow) -> str:
    text = json.dumps([run.run_id, _filters(query), last.sort_value, last.account_id])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _filters(query: AccountQuery) -> list[str | None]:
    return [query.target, query.band, query.owner, query.segment, _sort(query)]


def _sort(query: AccountQuery) -> str:
    return query.sort or default_sort(query.target)


def _summary(row: AccountRow, late: str | None) -> dict[str, Any]:
    """One row; a score that was fresh when it was made is stale when it is read too late."""
    shown = {**row.shown("api"), "reason": row.reason}
    if late is not None:
        shown |= {"status": Status.STALE, "detail": " ".join(filter(None, (late, row.detail)))}
    return shown


def _model(scorer: Scorer, note: str | None) -> dict[str, Any]:
    bundle = scorer.bundle
    return {
        "target": bundle.target,
        "title": bundle.title,
        "name": scorer.name,
        "version": scorer.version,
        "kind": scorer.kind,
        "rule": scorer.rule,
        "note": note,
        "horizon_days": bundle.horizon_days,
        "lead_days": bundle.lead_days,
        "metrics": dict(bundle.metrics),
        "comparisons": [
            {
                "rival": comparison.rival,
                "metric": comparison.metric,
                "model": comparison.model,
                "other": comparison.other,
                "difference": comparison.difference,
                "low": comparison.low,
                "high": comparison.high,
            }
            for comparison in bundle.comparisons
        ],
        "verdict": bundle.verdict.answer,
        "unproven": bundle.verdict.is_unproven,
        "verdict_reasons": list(bundle.verdict.sentences),
        "spans": {name: list(span) for name, span in bundle.spans.items()},
        "bands": dict(bundle.bands),
        "band_rates": {
            band: {**asdict(rate), "in_words": in_words(rate, happened=TARGETS[bundle.target].happened)}
            for band, rate in bundle.band_rates.items()
        },
        "features": list(bundle.features),
        "left_out": dict(bundle.left_out),
    }


def _json(value: object) -> Response:
    return Response(_encoded(value), media_type=_JSON)


def _encoded(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
