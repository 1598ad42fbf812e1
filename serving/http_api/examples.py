"""The requests and answers that the API's document shows."""

from collections.abc import Mapping
from typing import Any

__all__ = ["ACCOUNT_LIST", "SCORE_REQUEST", "SCORE_RESPONSE"]


_MODEL = {"name": "bellwether-churn", "version": "3", "kind": "model", "rule": None}
_REASON = {
    "code": "usage_trend",
    "contribution": 1.72,
    "direction": "raises",
    "actionable": True,
    "text": "Calls fell 58 % against the four weeks before (12,410 to 5,212).",
    "features": [
        {"name": "calls_28d_vs_prior_28d", "value": 0.42, "contribution": 1.31},
        {"name": "calls_weekly_slope_91d", "value": -0.11, "contribution": 0.41},
    ],
}
SCORE_REQUEST: Mapping[str, Any] = {"account_ids": ["acct_000042"], "targets": ["churn"], "reasons": 1}
SCORE_RESPONSE: Mapping[str, Any] = {
    "results": [
        {
            "account_id": "acct_000042",
            "features_as_of": "2026-06-29T00:00:00+00:00",
            "data_age_hours": 6.2,
            "scores": {
                "churn": {
                    "status": "scored",
                    "detail": None,
                    "offer": None,
                    "probability": 0.61,
                    "band": "high",
                    "horizon_days": 30,
                    "lead_days": 7,
                    "margin": 0.45,
                    "base_margin": -2.94,
                    "reasons": [_REASON],
                    "model": {**_MODEL, "verdict": "passes", "unproven": False},
                }
            },
        }
    ],
    "request_id": "0f8d1c2e9b7a4f0b9f3c5d6e7a8b9c0d",
}
ACCOUNT_LIST: Mapping[str, Any] = {
    "target": "churn",
    "features_as_of": "2026-06-29T00:00:00+00:00",
    "data_age_hours": 6.2,
    "scored_at": "2026-06-29T06:10:00+00:00",
    "horizon_days": 30,
    "lead_days": 7,
    "model": _MODEL,
    "accounts": [
        {
            "account_id": "acct_000042",
            "name": "Northwind Robotics",
            "owner": "sam",
            "segment": "mid-market",
            "status": "scored",
            "detail": None,
            "offer": None,
            "probability": 0.61,
            "band": "high",
            "mrr": 1200.0,
            "mrr_at_risk": 732.0,
            "reason": "Calls fell 58 % against the four weeks before (12,410 to 5,212).",
        }
    ],
    "next_cursor": None,
    "request_id": "0f8d1c2e9b7a4f0b9f3c5d6e7a8b9c0d",
}
