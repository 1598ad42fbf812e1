"""An audit in words and rows, for a terminal and for other programs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from features.audit.findings import Cause, OnlineAudit, OnlineDifference, PairDifference
from features.console import NOTHING
from features.exceptions import counted, listed
from training.judging.single_features import ALARM, LabelAudit, SingleFeature
from training.watching.audit import Audit

__all__ = ["finding_rows", "heading", "sections", "summary_rows"]


Rows = Sequence[Mapping[str, Any]]

_SHOWN = 20  # findings of a kind on a terminal; json and csv have all
_ADVICE = {
    Cause.FUTURE: (
        "change with what came after the cutoff. A definition reads past it, or ignores when a row was known: mend it, "
        "then build again."
    ),
    Cause.MEANING: (
        "are not what the rows known then make of them today. A definition changed without a new name, or rows were "
        "changed behind the cutoff. Build these cutoffs again; what differs still is made from rows known too late."
    ),
    Cause.TRAINING: (
        "are stored as they should be, and Feast gives training something else. Run `bellwether features apply`, then "
        "audit again."
    ),
}


def heading(audit: Audit) -> str:
    """What was audited, in a sentence."""
    store = audit.store
    cutoffs = listed(f"{cutoff:%Y-%m-%d} ({accounts:,})" for cutoff, accounts in store.accounts.items())
    pairs = counted(store.pairs, "(account, cutoff) pair|(account, cutoff) pairs")
    return f"{pairs}, drawn with seed {store.seed}: {cutoffs}."


def summary_rows(audit: Audit) -> Rows:
    """One row per check: what it looked at, and how much it found; a dash where nothing was compared."""
    store, online = audit.store, audit.store.online
    moved = f"{sum(store.exchanged_rows.values()):,}"
    differences = store.differences
    checks: list[tuple[str, int | str, str]] = [
        (
            "rebuilt from the past alone",
            _pairs(one for one in differences if one.is_rebuilt_otherwise),
            f"pairs whose {store.features} features differ when made only from what was known at the cutoff",
        ),
        (
            "rebuilt with another future",
            len(store.moving),
            f"features that change, of anybody, when the later rows ({moved} in all) are permuted between accounts",
        ),
        (
            "given to training",
            _pairs(one for one in differences if one.is_given_otherwise),
            "pairs that Feast joins otherwise than they are stored",
        ),
        (
            "online",
            len({one.feature for one in online.differences}) if online.accounts else NOTHING,
            _in_words_online(online),
        ),
        *(
            (f"tells {one.target} alone", NOTHING if one.best is None else len(one.alarms), _in_words_label(one))
            for one in audit.labels
        ),
    ]
    return [{"check": check, "found": found, "of": what} for check, found, what in checks]


def sections(audit: Audit) -> Iterator[tuple[str, Rows]]:
    """What was found: a sentence each, and the first rows of it; nothing where nothing was found."""
    store = audit.store
    if store.moving:
        everybody = ", ".join(f"{name} {count:,}" for name, count in store.moving.items())
        yield f"Changed by another future, of everybody at these cutoffs: {everybody}.", []
    for cause in Cause:
        those = [one for one in store.differences if store.cause(one) is cause]
        if those:
            values = f"{counted(len(those), 'value|values')} of {counted(_pairs(those), 'pair|pairs')}"
            those.sort(key=lambda one: not one.is_rebuilt_otherwise)  # the plainest first
            yield f"{values} {_ADVICE[cause]} {_by_feature(those)}", [_pair_row(one) for one in _spread(those)]
    online = audit.store.online
    if online.differences:
        values = counted(len(online.differences), "value|values")
        what = f"{values} online are not those offline at {online.cutoff:%Y-%m-%d}"
        yield (
            f"{what}. Run `bellwether features materialize`. {_by_feature(online.differences)}",
            [_online_row(one) for one in _spread(online.differences)],
        )
    for label in audit.labels:
        if label.leaks:
            what = f"{counted(len(label.leaks), 'feature|features')} alone nearly always tell {label.target}"
            where = "Look whether they are made from what was written after the fact, under an earlier time"
            yield f"{what}: ROC-AUC {ALARM} or more. {where}.", _alone(label.leaks)
        if label.agreed:
            what = (
                f"A remark: a date known beforehand alone nearly always tells {label.target}: ROC-AUC {ALARM} or more"
            )
            where = "Where accounts leave only at the end of a term it may"
            look = "Look whether the source writes the day an account left over it"
            yield f"{what}. {where}. {look}.", _alone(label.agreed)


def _alone(features: Sequence[SingleFeature]) -> Rows:
    return [{"feature": one.feature, "ROC-AUC": f"{one.roc_auc:.3f}"} for one in features]


def finding_rows(audit: Audit) -> Rows:
    """Everything that was found, one row each, of the same columns; None where a column has nothing to say."""
    columns = ("check", "target", "account_id", "cutoff", "feature")
    values = ("stored", "rebuilt", "another_future", "given_to_training", "online", "roc_auc")
    blank: dict[str, Any] = dict.fromkeys((*columns, *values))
    pairs = [
        {
            "check": str(audit.store.cause(one)),
            "account_id": one.account_id,
            "cutoff": one.cutoff,
            "feature": one.feature,
        }
        | {"stored": one.stored, "rebuilt": one.rebuilt}
        | {"another_future": one.exchanged, "given_to_training": one.historical}
        for one in audit.store.differences
    ]
    served = [
        {"check": "online", "account_id": one.account_id, "cutoff": audit.store.online.cutoff, "feature": one.feature}
        | {"stored": one.offline, "online": one.online}
        for one in audit.store.online.differences
    ]
    alarms = [
        {"check": "label", "target": label.target, "feature": one.feature, "roc_auc": one.roc_auc}
        for label in audit.labels
        for one in label.alarms
    ]
    return [blank | row for row in (*pairs, *served, *alarms)]


def _in_words_online(online: OnlineAudit) -> str:
    if online.cutoff is None:
        return "nothing is materialized, so nothing was compared"
    if not online.accounts:
        return (
            f"the offline rows of {online.cutoff:%Y-%m-%d}, which is online, are gone or outdated: nothing was compared"
        )
    return f"features that differ from the offline ones, over {online.accounts:,} accounts at {online.cutoff:%Y-%m-%d}"


def _in_words_label(label: LabelAudit) -> str:
    if label.best is None:
        return f"nothing was compared: {label.skipped}"
    return (
        f"features with ROC-AUC {ALARM} or more over {label.rows:,} rows, {label.positives:,} of them positive; the "
        f"highest is {label.best.feature} with {label.best.roc_auc:.3f}"
    )


def _pair_row(one: PairDifference) -> dict[str, str]:
    values = {
        "stored": one.stored,
        "rebuilt": one.rebuilt,
        "another future": one.exchanged,
        "Feast's": one.historical,
    }
    where = {"account": one.account_id, "cutoff": f"{one.cutoff:%Y-%m-%d}", "feature": one.feature}
    return where | {name: _shown(value) for name, value in values.items()}


def _online_row(one: OnlineDifference) -> dict[str, str]:
    values = {"offline": _shown(one.offline), "online": _shown(one.online)}
    return {"account": one.account_id, "feature": one.feature} | values


def _shown(value: object) -> str:
    """Every digit that can differ."""
    if value is None:
        return "null"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _by_feature(differences: Any) -> str:
    counts = Counter(one.feature for one in differences).most_common()
    return f"By feature: {listed(f'{feature} {count:,}' for feature, count in counts)}."


def _spread(differences: Any) -> list[Any]:
    """The first few, of every feature in turn."""
    by_feature: dict[str, list[Any]] = {}
    for one in differences:
        by_feature.setdefault(one.feature, []).append(one)
    turns = zip_longest(*by_feature.values())
    return [one for turn in turns for one in turn if one is not None][:_SHOWN]


def _pairs(differences: Any) -> int:
    return len({(one.account_id, one.cutoff) for one in differences})
