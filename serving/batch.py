"""Batch scoring: every account of one cutoff, from the offline store to the ledger and to files."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.built import built_cutoffs, left_out
from features.catalog import GROUPS, features_of_service
from features.exceptions import DependencyError, InputError, listed
from features.manifest import ManifestStore, digest
from features.progress import Progress, silent
from features.raw import complete_until
from features.settings import Settings
from features.store import Store, open_store
from serving.accounts import applicability, attributes, built_accounts, without_subscription
from serving.freshness import Freshness, Status, judge
from serving.ledger import open_ledger
from serving.reasons import reasons_for
from serving.runs import ScoredAccount, ScoreRun, TargetRun, run_id
from serving.scoring import Scorer, load_scorer, score_rows
from training.registry import champion, champions

__all__ = ["REASONS_KEPT", "check_export", "export", "score_account", "score_batch", "score_columns"]

REASONS_KEPT = 5


def score_batch(
    settings: Settings, *, as_of: datetime | None = None, now: datetime, progress: Progress | None = None
) -> ScoreRun:
    """Score and explain every account at one cutoff, for each target with a champion, and append to the ledger.

    The same run twice writes nothing.

    Raises
    ------
    InputError
        When the cutoff is not built.
    DependencyError
        When no target has a champion, or a store is away.
    """
    report = progress or silent
    cutoff = _cutoff(settings, as_of)
    scorers = _scorers(settings, None)
    accounts = built_accounts(settings, cutoff)
    store, ledger = open_store(settings), open_ledger(settings)
    runs = []
    for done, scorer in enumerate(scorers):
        report("score", 3 * done, 3 * len(scorers))
        run = _run(settings, scorer, store, accounts, cutoff=cutoff, now=now, reasons=REASONS_KEPT)
        report("score", 3 * done + 2, 3 * len(scorers))
        runs.append(replace(run, written=ledger.append(run)))
        report("score", 3 * done + 3, 3 * len(scorers))
    ledger.close()
    return ScoreRun(cutoff, tuple(runs))


def score_account(
    settings: Settings, account: str, *, target: str | None = None, as_of: datetime | None = None, now: datetime
) -> ScoreRun:
    """Score one account with every reason there is, and write nothing.

    Raises
    ------
    InputError
        When the account has no features at the cutoff; names ids that look alike.
    """
    cutoff = _cutoff(settings, as_of)
    known = built_accounts(settings, cutoff)
    if account not in set(known):
        near = difflib.get_close_matches(account, known, n=5, cutoff=0.6)
        hint = f"Did you mean: {listed(near)}?" if near else "`bellwether score` lists the accounts there are."
        raise InputError(f"There is no account {account!r} as of {cutoff.date()}. {hint}")
    store = open_store(settings)
    runs = [
        _run(settings, scorer, store, [account], cutoff=cutoff, now=now, reasons=len(scorer.bundle.features))
        for scorer in _scorers(settings, target)
    ]
    return ScoreRun(cutoff, tuple(runs))


def score_columns(
    settings: Settings,
    scorer: Scorer,
    account_ids: Sequence[str],
    columns: dict[str, Any],
    *,
    cutoff: datetime,
    reasons: int,
) -> list[ScoredAccount]:
    """Score rows of features that were read at ``cutoff``: one answer per account, in their order."""
    freshness = Freshness(cutoff, settings.stale_after_hours, settings.grace_hours, complete_until(settings, "events"))
    applies = applicability(settings, scorer.target, cutoff)
    has_called = ~np.isnan(np.asarray(columns["days_since_last_call"], dtype=np.float64))
    judged = [
        judge(
            freshness,
            is_known=True,
            is_mixed=False,
            applicable=applies.get(account, without_subscription()),
            has_called=called,
            features_as_of=cutoff,
        )
        for account, called in zip(account_ids, has_called.tolist(), strict=True)
    ]
    who = attributes(settings, cutoff)
    mrr = [None if np.isnan(value) else value for value in np.asarray(columns["mrr"], dtype=np.float64).tolist()]
    answers = [
        ScoredAccount(account, status, detail, mrr=revenue, **_named(who.get(account)))
        for account, (status, detail), revenue in zip(account_ids, judged, mrr, strict=True)
    ]
    places = [i for i, (status, _) in enumerate(judged) if status in {Status.SCORED, Status.STALE}]
    chosen = {name: np.asarray(values)[places] for name, values in columns.items()}
    scores = score_rows(scorer, chosen)
    spoken = reasons_for(scores.features, chosen, scores.contributions, limit=reasons)
    numbers = zip(
        places,
        scores.probability.tolist(),
        scores.band.tolist(),
        scores.margin.tolist(),
        scores.base_margin.tolist(),
        spoken,
        strict=True,
    )
    for place, probability, band, margin, base_margin, said in numbers:
        answers[place] = replace(
            answers[place], probability=probability, band=band, margin=margin, base_margin=base_margin, reasons=said
        )
    return answers


def export(run: ScoreRun, path: Path) -> None:
    """Write every row of the run to a CSV or Parquet file, one column per reason.

    Raises
    ------
    InputError
        When the file's ending is neither, or it cannot be written.
    """
    check_export(path)
    frame = pd.DataFrame([_exported(part, account) for part in run.targets for account in part.accounts])
    try:
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place for --out.") from error


def check_export(path: Path) -> None:
    """Refuse a file that :func:`export` could not write, before any work is done for it.

    Raises
    ------
    InputError
        When its ending is neither of the two, or its folder cannot be made or written.
    """
    if path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path} ends in neither .csv nor .parquet. Name it so that the format is clear.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place for --out.") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written. Choose another place for --out.")


def _run(
    settings: Settings,
    scorer: Scorer,
    store: Store,
    accounts: Sequence[str],
    *,
    cutoff: datetime,
    now: datetime,
    reasons: int,
) -> TargetRun:
    bundle = scorer.bundle
    entities = pd.DataFrame({"account_id": accounts, "event_timestamp": pd.Timestamp(cutoff)})
    frame = store.historical(entities, service=bundle.service)
    columns = {spec.name: frame[spec.name].to_numpy() for spec in features_of_service(bundle.service)}
    fingerprint = _fingerprint(settings, cutoff)
    return TargetRun(
        run_id=run_id(
            as_of=cutoff,
            target=scorer.target,
            model=scorer.name,
            version=scorer.version,
            bundle_sha256=scorer.sha256,
            fingerprint=fingerprint,
        ),
        target=scorer.target,
        as_of=cutoff,
        scored_at=now,
        model=scorer.name,
        version=scorer.version,
        bundle_sha256=scorer.sha256,
        fingerprint=fingerprint,
        horizon_days=bundle.horizon_days,
        lead_days=bundle.lead_days,
        accounts=score_columns(settings, scorer, accounts, columns, cutoff=cutoff, reasons=reasons),
    )


def _scorers(settings: Settings, target: str | None) -> list[Scorer]:
    chosen = champions(settings) if target is None else {target: champion(settings, target)}
    if not chosen:
        raise DependencyError(
            "No target has a champion yet. Run `bellwether train --target churn`, then "
            "`bellwether promote --target churn`."
        )
    return [load_scorer(one) for one in chosen.values()]


def _cutoff(settings: Settings, as_of: datetime | None) -> datetime:
    built = built_cutoffs(settings)
    if not built:
        first = left_out(settings) or ["Run `bellwether features build` first."]
        raise InputError(" ".join(["No cutoff is built yet.", *first]))
    if as_of is None:
        return built[-1]
    if as_of not in built:
        raise InputError(
            f"The cutoff {as_of.date()} is not built. Built, newest first: "
            f"{listed(cutoff.date() for cutoff in reversed(built))}. "
            f"Run `bellwether features build --from {as_of.date()} --to {as_of.date()}` for it."
        )
    return as_of


def _fingerprint(settings: Settings, cutoff: datetime) -> str:
    """Fingerprint of the feature files of one cutoff."""
    manifest = ManifestStore(settings.home / "features").manifest()
    return digest([manifest.fingerprint(f"{group}/cutoff={cutoff:%Y-%m-%d}") for group in GROUPS])


def _named(who: Any) -> dict[str, Any]:
    return {} if who is None else {"name": who.name, "owner": who.owner, "segment": who.segment}


def _exported(part: TargetRun, account: ScoredAccount) -> dict[str, Any]:
    said = [reason.text for reason in account.reasons] + [None] * REASONS_KEPT
    return {
        "account_id": account.account_id,
        "name": account.name,
        "owner": account.owner,
        "segment": account.segment,
        "target": part.target,
        "as_of": part.as_of,
        "status": str(account.status),
        "detail": account.detail,
        "probability": account.probability,
        "band": account.band,
        "mrr": account.mrr,
        "mrr_at_risk": account.mrr_at_risk,
        **{f"reason_{rank}": said[rank - 1] for rank in range(1, REASONS_KEPT + 1)},
        "model": part.model,
        "version": part.version,
    }
