"""Answers a score request: online features in, one result per account out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import numpy as np

from features.online import OnlineRows
from features.raw import complete_until
from features.settings import Settings
from features.store import Store
from features.windows import cutoff_of_day
from serving.accounts import applicability, records_version, without_subscription
from serving.freshness import Freshness, Status, age_hours, judge
from serving.live import LiveChampions
from serving.problems import HttpProblemError
from serving.reasons import Reason, reasons_for
from serving.schemas import ScoreRequest
from serving.scoring import Scorer, Scores, score_rows
from training.targets import TARGETS

__all__ = ["Answerer"]


class Answerer:
    """Joins the online store, the champions and what is known about accounts; holds no state of its own."""

    def __init__(self, settings: Settings, store: Store, champions: LiveChampions) -> None:
        self._settings = settings
        self._store = store
        self._champions = champions
        # One cutoff is online at a time, two while the store is filled; a new record table begins afresh.
        self._applicability = lru_cache(maxsize=32)(self._read_applicability)
        self._complete_until = lru_cache(maxsize=2)(self._read_complete_until)

    def is_ready(self) -> bool:
        """Whether there is a verified champion; raises when the store is away."""
        self._store.ping()
        return bool(self._champions.scorers)

    def score(self, request: ScoreRequest, *, now: datetime) -> list[dict[str, Any]]:
        """Results in the order of the request, as JSON values; the schema is :class:`serving.schemas.Result`.

        Raises
        ------
        HttpProblemError
            422 for what is no target, 503 without a champion for a target, 404 for one account alone that nobody knows.
        DependencyError
            When the store is away.
        """
        scorers = self._chosen(request.targets)
        by_service: dict[str, OnlineRows] = {}
        for scorer in scorers:
            service = scorer.bundle.service
            if service not in by_service:
                by_service[service] = self._store.online(request.account_ids, service=service)
        rows = next(iter(by_service.values()))
        if len(request.account_ids) == 1 and not rows.known[0]:
            raise HttpProblemError(HTTPStatus.NOT_FOUND, "The feature store has no account of this id.")
        as_of = [None if np.isnan(day) else cutoff_of_day(int(day)) for day in rows.oldest_days.tolist()]
        results: list[dict[str, Any]] = [
            {
                "account_id": account,
                "features_as_of": None if moment is None else moment.isoformat(),
                "data_age_hours": None if moment is None else round(age_hours(moment, now), 2),
                "scores": {},
            }
            for account, moment in zip(request.account_ids, as_of, strict=True)
        ]
        for scorer in scorers:
            answers = self._target_scores(scorer, by_service[scorer.bundle.service], as_of, request.reasons, now)
            for result, answer in zip(results, answers, strict=True):
                result["scores"][scorer.target] = answer
        return results

    def _chosen(self, targets: Sequence[str] | None) -> list[Scorer]:
        scorers = self._champions.scorers
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

    def _target_scores(
        self, scorer: Scorer, rows: OnlineRows, as_of: Sequence[datetime | None], reasons: int, now: datetime
    ) -> list[dict[str, Any]]:
        settings, version = self._settings, records_version(self._settings)
        freshness = Freshness(now, settings.stale_after_hours, settings.grace_hours, self._complete_until(version))
        applies = {moment: self._applicability(scorer.target, moment, version) for moment in set(as_of) if moment}
        has_called = ~np.isnan(rows.values["days_since_last_call"])
        judged = [
            judge(
                freshness,
                is_known=known,
                is_mixed=mixed,
                applicable=applies[moment].get(account, without_subscription()) if moment else "ok",
                has_called=called,
                features_as_of=moment,
            )
            for account, known, mixed, called, moment in zip(
                rows.account_ids, rows.known.tolist(), rows.mixed.tolist(), has_called.tolist(), as_of, strict=True
            )
        ]
        mixed = rows.mixed
        places = [i for i, (status, _) in enumerate(judged) if status in {Status.SCORED, Status.STALE} and not mixed[i]]
        columns = {name: values[places] for name, values in rows.values.items()}
        scores = score_rows(scorer, columns)
        spoken = reasons_for(scores.features, columns, scores.contributions, limit=reasons)
        bundle = scorer.bundle
        fixed = {
            "horizon_days": bundle.horizon_days,
            "lead_days": bundle.lead_days,
            "model": {"name": scorer.name, "version": scorer.version},
        }
        answers = [{"status": str(status), **({"detail": detail} if detail else {})} for status, detail in judged]
        for row, place in enumerate(places):
            answers[place] |= _numbers(scores, row) | {"reasons": [_reason(reason) for reason in spoken[row]]}
        return [{"reasons": [], **answer, **fixed} for answer in answers]

    def _read_applicability(self, target: str, cutoff: datetime, _version: int) -> Mapping[str, str]:
        return applicability(self._settings, target, cutoff)

    def _read_complete_until(self, _version: int) -> datetime | None:
        return complete_until(self._settings, "events")


def _numbers(scores: Scores, row: int) -> dict[str, Any]:
    return {
        "probability": float(scores.probability[row]),
        "band": str(scores.band[row]),
        "margin": float(scores.margin[row]),
        "base_margin": float(scores.base_margin[row]),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "contribution": reason.contribution,
        "direction": reason.direction,
        "actionable": reason.actionable,
        "text": reason.text,
        "features": [share._asdict() for share in reason.features],
    }
