"""Batch scoring: every account of one cutoff, from the offline store to the ledger and to files."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definitions.catalog import BUILT_IN
from features.exceptions import BellwetherError, DependencyError, InputError, listed
from features.feature_store.store import Store, open_store
from features.fingerprint import digest
from features.home.home import Home
from features.home.raw_tables import complete_until
from features.offline.cutoffs import built_cutoffs
from features.offline.default_cutoff import default_cutoff, nothing_built
from features.progress import Progress, silent
from serving.ledger.ledger import Ledger, open_ledger
from serving.ledger.runs import ScoredAccounts, ScoreRun, TargetRun, run_id
from serving.scoring.accounts import applicability, attributes, built_accounts
from serving.scoring.assess import Assessed, FeatureRows, applicable, assess
from serving.scoring.freshness import Freshness
from serving.scoring.offers import CHURN, costs_mrr, is_offer, with_offers
from serving.scoring.score import Scorer, load_scorer
from training.labels.targets import TARGETS
from training.models.bands import in_words
from training.registry.champions import champion, champion_version, champions

__all__ = ["REASONS_KEPT", "assess_columns", "feature_columns", "features_fingerprint", "score_account", "score_batch"]


REASONS_KEPT = 5


def score_batch(
    home: Home, *, as_of: datetime | None = None, now: datetime, progress: Progress | None = None
) -> ScoreRun:
    """Score and explain every account at one cutoff, for each target with a champion, and append to the ledger.

    The same run twice writes nothing, and a ledger that cannot be written takes none: the run says so. A target whose
    model cannot be had keeps no other from being scored; it is named in the run's failures.

    Raises
    ------
    InputError
        When the cutoff is not built, or none is named and the newest lies too long after the log.
    DependencyError
        When no target can be scored, or a store is away.
    """
    report = progress or silent
    runs: list[TargetRun] = []
    with closing(open_ledger(home)) as ledger, home.snapshot() as steady:
        cutoff = _cutoff(steady, as_of, now)
        scorers, failures = _loaded(steady, ledger)
        accounts = built_accounts(steady, cutoff)
        report("score", 0, len(scorers))
        for run in _runs(steady, scorers, accounts, cutoff=cutoff, now=now, reasons=REASONS_KEPT):
            runs.append(_recorded(ledger, run))
            report("score", len(runs), len(scorers))
    return ScoreRun(cutoff, tuple(runs), failures)


def _recorded(ledger: Ledger, run: TargetRun) -> TargetRun:
    """The run, with what the ledger made of it."""
    is_written = ledger.append(run)
    is_known = is_written or ledger.run(run.run_id) is not None
    return replace(run, written=is_written, unwritable=None if is_known else ledger.file)


def score_account(
    home: Home, account: str, *, target: str | None = None, as_of: datetime | None = None, now: datetime
) -> ScoreRun:
    """Score one account with every reason there is, and write nothing.

    Raises
    ------
    InputError
        When the account has no features at the cutoff; names ids that look alike.
    """
    with home.snapshot() as steady:
        return _score_account(steady, account, target=target, as_of=as_of, now=now)


def _score_account(home: Home, account: str, *, target: str | None, as_of: datetime | None, now: datetime) -> ScoreRun:
    cutoff = _cutoff(home, as_of, now)
    known = built_accounts(home, cutoff)
    if account not in set(known):
        near = difflib.get_close_matches(account, known, n=5, cutoff=0.6)
        hint = f"Did you mean: {listed(near)}?" if near else "`bellwether score` lists the accounts there are."
        raise InputError(f"There is no account {account!r} as of {cutoff.date()}. {hint}")
    scorers = _scorers(home, target)
    every_reason = max(len(scorer.bundle.features) for scorer in scorers)
    runs = _runs(home, scorers, [account], cutoff=cutoff, now=now, reasons=every_reason)
    return ScoreRun(cutoff, tuple(run for run in runs if target in {None, run.target}))


def assess_columns(
    home: Home,
    scorer: Scorer,
    account_ids: Sequence[str],
    columns: Mapping[str, NDArray[Any]],
    *,
    cutoff: datetime,
    reasons: int,
) -> Assessed:
    """Judge, score and explain rows of features that were read at ``cutoff``: one answer per account, in their order.

    The run is measured against its own cutoff, not against a clock.
    """
    rows = FeatureRows(account_ids, columns, [cutoff] * len(account_ids), [None] * len(account_ids))
    return assess(
        scorer,
        rows,
        freshness=Freshness(cutoff, home.settings.stale_after_hours, complete_until(home, "events")),
        applies=applicable(scorer.target, rows, {cutoff: applicability(home, scorer.target, cutoff)}),
        reasons=reasons,
    )


def _runs(
    home: Home,
    scorers: Sequence[Scorer],
    accounts: Sequence[str],
    *,
    cutoff: datetime,
    now: datetime,
    reasons: int,
) -> Iterator[TargetRun]:
    """One run per scorer, churn first: whether an upgrade is offered depends on it."""
    store = open_store(home)
    columns: dict[str, Mapping[str, NDArray[Any]]] = {}
    churn = None
    for scorer in sorted(scorers, key=lambda scorer: scorer.target != CHURN):
        service = scorer.bundle.service
        if service not in columns:
            columns[service] = feature_columns(home, store, service, accounts, cutoff)
        assessed = assess_columns(home, scorer, accounts, columns[service], cutoff=cutoff, reasons=reasons)
        churn = assessed if scorer.target == CHURN else churn
        mrr = np.asarray(columns[service]["mrr"], dtype=np.float64)
        money = [value if known else None for value, known in zip(mrr.tolist(), np.isfinite(mrr), strict=True)]
        yield _run(home, scorer, assessed, money, churn, cutoff=cutoff, now=now)


def feature_columns(
    home: Home, store: Store, service: str, accounts: Sequence[str], cutoff: datetime
) -> Mapping[str, NDArray[Any]]:
    """Feature to its values at a cutoff, one per account in their order, as a service reads them."""
    entities = pd.DataFrame({"account_id": accounts, "event_timestamp": pd.Timestamp(cutoff)})
    frame, features = store.historical(entities, service=service), home.catalog.features_of_service(service)
    return {feature.name: frame[feature.name].to_numpy() for feature in features}


def _run(
    home: Home,
    scorer: Scorer,
    assessed: Assessed,
    mrr: Sequence[float | None],
    churn: Assessed | None,
    *,
    cutoff: datetime,
    now: datetime,
) -> TargetRun:
    bundle, target = scorer.bundle, scorer.target
    offered: list[bool | None] = [None] * len(mrr)
    if is_offer(target):
        assessed, offered = with_offers(assessed, churn, highest_band=bundle.highest_band)
    who = attributes(home, cutoff)
    accounts = ScoredAccounts(assessed, mrr, offered, costs_mrr(target), who)
    features = features_fingerprint(home, cutoff, service=bundle.service)
    fingerprint = digest([features, _answers_fingerprint(accounts)])
    return TargetRun(
        run_id=run_id(
            as_of=cutoff,
            target=target,
            model=scorer.name,
            version=scorer.version,
            bundle_sha256=scorer.sha256,
            fingerprint=fingerprint,
        ),
        target=target,
        as_of=cutoff,
        scored_at=now,
        model=scorer.name,
        version=scorer.version,
        bundle_sha256=scorer.sha256,
        fingerprint=fingerprint,
        horizon_days=bundle.horizon_days,
        lead_days=bundle.lead_days,
        accounts=accounts,
        observed={band: in_words(rate, happened=TARGETS[target].happened) for band, rate in bundle.band_rates.items()},
        rule=scorer.rule,
        verdict=bundle.verdict.answer,
        unproven=bundle.verdict.is_unproven,
    )


def _loaded(home: Home, ledger: Ledger) -> tuple[list[Scorer], tuple[BellwetherError, ...]]:
    """The champions that can be had, and why the others cannot: those there are, and those there were."""
    scorers: list[Scorer] = []
    failures: list[BellwetherError] = []
    for name in TARGETS:
        try:
            if champion_version(home, name) is not None:
                scorers.append(load_scorer(champion(home, name)))
            elif ledger.latest(name) is not None:
                failures.append(
                    DependencyError(
                        f"{name} was scored before and has no champion any more. "
                        f"Run `bellwether promote --target {name}`."
                    )
                )
        except BellwetherError as error:
            failures.append(error)
    if failures and not scorers:
        raise failures[0]
    if not scorers:
        raise _without_champions()
    return scorers, tuple(failures)


def _without_champions() -> DependencyError:
    return DependencyError(
        "No target has a champion yet. Run `bellwether train --target churn`, then `bellwether promote --target churn`."
    )


def _scorers(home: Home, target: str | None) -> list[Scorer]:
    """The champions to score with: all, or one, and churn's beside it where that decides about an offer."""
    if target is None:
        by_target = champions(home)
    else:
        beside = champions(home) if is_offer(target) else {}
        by_target = {name: scored for name, scored in beside.items() if name == CHURN} | {
            target: champion(home, target)
        }
    if not by_target:
        raise _without_champions()
    return [load_scorer(named) for named in by_target.values()]


def _cutoff(home: Home, as_of: datetime | None, now: datetime) -> datetime:
    if as_of is None:
        return default_cutoff(home, now=now)
    built = built_cutoffs(home)
    if not built:
        raise nothing_built(home)
    if as_of not in built:
        raise InputError(
            f"The cutoff {as_of.date()} is not built. Built, newest first: "
            f"{listed(cutoff.date() for cutoff in reversed(built))}. "
            f"Run `bellwether features build --from {as_of.date()} --to {as_of.date()}` for it."
        )
    return as_of


def features_fingerprint(home: Home, cutoff: datetime, *, service: str | None = None) -> str:
    """Fingerprint of the feature files of one cutoff.

    With a feature service, only of the built-in groups and the declared features it reads: what else is declared
    changes nothing for its model.
    """
    catalog, manifest = home.catalog, home.stores.features.manifest()
    groups = catalog.groups
    if service is not None:
        read = catalog.custom.get(service)
        groups = tuple(group for group in groups if group in BUILT_IN.views or group == read)
    return digest([manifest.fingerprint(f"{group}/cutoff={cutoff:%Y-%m-%d}") for group in groups])


def _answers_fingerprint(accounts: ScoredAccounts) -> str:
    """Fingerprint of what answers say beside the features: statuses, details, offers, names, owners, segments.

    They come from subscriptions, accounts, the settings and how far the log is complete, which may all change at one
    cutoff; a change that changes no answer is no new run.
    """
    assessed = accounts.assessed
    who = [accounts.who.get(account) for account in assessed.account_ids]
    return digest(
        [list(assessed.account_ids), list(map(str, assessed.status)), list(assessed.detail), list(accounts.offer), who]
    )
