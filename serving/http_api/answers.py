"""Answers a score request: online features in, one result per account out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.feature_store.online_rows import OnlineRows, together
from features.feature_store.store import Store
from features.home.home import Home
from features.home.raw_tables import complete_until
from features.windows import cutoff_of_day
from serving.http_api.live_champions import LiveChampions
from serving.http_api.problems import HttpProblemError
from serving.http_api.schemas import ScoreRequest
from serving.scoring.accounts import applicability, records_version
from serving.scoring.assess import Assessed, FeatureRows, applicable, assess
from serving.scoring.freshness import MIXED_BUILDS, MIXED_CUTOFFS, Freshness, age_hours, refused_night
from serving.scoring.offers import CHURN, is_offer, with_offers
from serving.scoring.reasons import reason_json
from serving.scoring.score import Scorer, Scores
from training.labels.targets import TARGETS

__all__ = ["Answerer"]


class Answerer:
    """Joins the online store, the champions and what is known about accounts; holds no state of its own."""

    def __init__(self, home: Home, store: Store, champions: LiveChampions) -> None:
        self._home = home
        self._store = store
        self._champions = champions
        # One cutoff is online at a time, two while the store is filled; a new record table begins afresh.
        self._applicability = lru_cache(maxsize=32)(self._read_applicability)
        self._complete_until = lru_cache(maxsize=2)(self._read_complete_until)

    def score(self, request: ScoreRequest, *, now: datetime) -> list[dict[str, Any]]:
        """Results in the order of the request, as JSON values; the schema is :class:`serving.http_api.schemas.Result`.

        Raises
        ------
        HttpProblemError
            422 for what is no target, 503 without a champion for a target, 404 for one account alone that nobody knows.
        DependencyError
            When the store is away.
        """
        served = self._champions.scorers
        scorers = self._chosen(served, request.targets)
        wanted = {scorer.target for scorer in scorers}
        # Whether an upgrade is offered depends on the churn risk, asked for or not.
        beside = [served[CHURN]] if any(map(is_offer, wanted)) and CHURN in served and CHURN not in wanted else []
        by_service = self._online(request.account_ids, [scorer.bundle.service for scorer in (*scorers, *beside)])
        asked = [by_service[scorer.bundle.service] for scorer in scorers]
        if len(request.account_ids) == 1 and not any(rows.known[0] for rows in asked):
            raise HttpProblemError(HTTPStatus.NOT_FOUND, "The feature store has no account of this id.")
        as_of = _moments(np.fmin.reduce([rows.oldest_days for rows in asked]))
        results: list[dict[str, Any]] = [
            {
                "account_id": account,
                "features_as_of": None if moment is None else moment.isoformat(),
                "data_age_hours": None if moment is None else round(age_hours(moment, now), 2),
                "scores": {},
            }
            for account, moment in zip(request.account_ids, as_of, strict=True)
        ]
        assessed = {
            scorer.target: self._assessed(scorer, by_service[scorer.bundle.service], limit, now)
            for scorer, limit in (
                *((scorer, request.reasons) for scorer in scorers),
                *((scorer, 0) for scorer in beside),
            )
        }
        for scorer in scorers:
            answers = _answers(scorer, assessed[scorer.target], assessed.get(CHURN))
            for result, answer in zip(results, answers, strict=True):
                result["scores"][scorer.target] = answer
        return results

    def _chosen(self, scorers: Mapping[str, Scorer], targets: Sequence[str] | None) -> list[Scorer]:
        wanted = list(dict.fromkeys(targets)) if targets is not None else list(scorers)
        strange = [
            (f"/targets/{place}", "There is no such target.")
            for place, name in enumerate(targets or ())
            if name not in TARGETS
        ]
        if strange:
            raise HttpProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"Targets are: {', '.join(TARGETS)}.", errors=strange
            )
        missing = [target for target in wanted if target not in scorers]
        if missing or not wanted:
            what = "A target of this request" if targets is not None else "No target"
            tail = "has no champion" if targets is not None else "has a champion yet"
            raise HttpProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{what} {tail}. Train and promote a model; GET /v1/models lists them."
            )
        return [scorers[target] for target in wanted]

    def _online(self, account_ids: Sequence[str], services: Iterable[str]) -> dict[str, OnlineRows]:
        """Rows by service, all of one cutoff and build: what differs between two reads is mixed in each of them.

        Services of the same features are one read: the store may be filled between two.
        """
        catalog = self._home.catalog
        # Two sets of declared features may name them alike; the view tells them apart.
        lists = {
            service: (catalog.custom.get(service, ""), *catalog.services.get(service, (service,)))
            for service in services
        }
        reads: dict[tuple[str, ...], OnlineRows] = {}
        for service, features in lists.items():
            if features not in reads:
                reads[features] = self._store.online(account_ids, service=service)
        joined = dict(zip(reads, together(list(reads.values())), strict=True))
        return {service: joined[features] for service, features in lists.items()}

    def _assessed(self, scorer: Scorer, rows: OnlineRows, reasons: int, now: datetime) -> Assessed:
        version = records_version(self._home)
        feature_rows = FeatureRows(rows.account_ids, rows.values, _moments(rows.oldest_days), _mixtures(rows))
        statuses = {
            moment: self._applicability(scorer.target, moment, version) for moment in set(feature_rows.as_of) if moment
        }
        return assess(
            scorer,
            feature_rows,
            freshness=Freshness(
                now,
                self._home.settings.stale_after_hours,
                self._complete_until(version),
                refused_night(self._home),
            ),
            applies=applicable(scorer.target, feature_rows, statuses),
            reasons=reasons,
        )

    def _read_applicability(self, target: str, cutoff: datetime, _version: tuple[int, ...]) -> Mapping[str, str]:
        return applicability(self._home, target, cutoff)

    def _read_complete_until(self, _version: tuple[int, ...]) -> datetime | None:
        return complete_until(self._home, "events")


def _moments(days: NDArray[np.float64]) -> list[datetime | None]:
    return [None if np.isnan(day) else cutoff_of_day(int(day)) for day in days.tolist()]


def _mixtures(rows: OnlineRows) -> list[str | None]:
    """How each account's views fail to belong together; None where they do."""
    return [
        MIXED_CUTOFFS if of_cutoffs else MIXED_BUILDS if of_builds else None
        for of_cutoffs, of_builds in zip(rows.mixed.tolist(), rows.mixed_builds.tolist(), strict=True)
    ]


def _answers(scorer: Scorer, assessed: Assessed, churn: Assessed | None) -> Iterator[dict[str, Any]]:
    """One target's answer for each account, as JSON values."""
    bundle, offered = scorer.bundle, None
    if is_offer(scorer.target):
        assessed, offered = with_offers(assessed, churn, highest_band=bundle.highest_band)
    for account, (status, detail, row) in enumerate(
        zip(assessed.status, assessed.detail, assessed.place.tolist(), strict=True)
    ):
        yield {
            "status": str(status),
            "detail": detail or None,
            "offer": None if offered is None else offered[account],
            **(_numbers(assessed.scores, row) if row >= 0 else dict.fromkeys(_NUMBERS)),
            "reasons": [reason_json(reason) for reason in assessed.reasons[row]] if row >= 0 else [],
            "horizon_days": bundle.horizon_days,
            "lead_days": bundle.lead_days,
            "model": {
                "name": scorer.name,
                "version": scorer.version,
                "kind": scorer.kind,
                "rule": scorer.rule,
                "verdict": bundle.verdict.answer,
                "unproven": bundle.verdict.is_unproven,
            },
        }


_NUMBERS = ("probability", "band", "margin", "base_margin")


def _numbers(scores: Scores, row: int) -> dict[str, Any]:
    return {
        "probability": float(scores.probability[row]),
        "band": str(scores.band[row]),
        "margin": float(scores.margin[row]),
        "base_margin": float(scores.base_margin[row]),
    }
