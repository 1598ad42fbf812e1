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

__all__ = ["FINDING_COLUMNS", "finding_rows", "heading", "sections", "summary_rows"]


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
            _pairs(difference for difference in differences if difference.is_rebuilt_otherwise),
            f"pairs whose {store.features} features differ when made only from what was known at the cutoff",
        ),
        (
            "rebuilt with another future",
            len(store.moving),
            f"features that change, of anybody, when the later rows ({moved} in all) are permuted between accounts",
        ),
        (
            "given to training",
            _pairs(difference for difference in differences if difference.is_given_otherwise),
            "pairs that Feast joins otherwise than they are stored",
        ),
        (
            "online",
            len({difference.feature for difference in online.differences}) if online.accounts else NOTHING,
            _in_words_online(online),
        ),
        *(
            (
                f"tells {label.target} alone",
                NOTHING if label.best is None else len(label.alarms),
                _in_words_label(label),
            )
            for label in audit.labels
        ),
    ]
    return [{"check": check, "found": number, "of": what} for check, number, what in checks]


def sections(audit: Audit) -> Iterator[tuple[str, Rows]]:
    """What was found: a sentence each, and the first rows of it; nothing where nothing was found."""
    store = audit.store
    if store.moving:
        everybody = ", ".join(f"{name} {count:,}" for name, count in store.moving.items())
        yield f"Changed by another future, of everybody at these cutoffs: {everybody}.", []
    for cause in Cause:
        those = [difference for difference in store.differences if store.cause(difference) is cause]
        if those:
            values = f"{counted(len(those), 'value|values')} of {counted(_pairs(those), 'pair|pairs')}"
            those.sort(key=lambda difference: not difference.is_rebuilt_otherwise)  # the plainest first
            yield (
                f"{values} {_ADVICE[cause]} {_by_feature(those)}",
                [_pair_row(difference) for difference in _spread(those)],
            )
    online = audit.store.online
    if online.differences:
        values = counted(len(online.differences), "value|values")
        what = f"{values} online are not those offline at {online.cutoff:%Y-%m-%d}"
        yield (
            f"{what}. Run `bellwether features materialize`. {_by_feature(online.differences)}",
            [_online_row(difference) for difference in _spread(online.differences)],
        )
    for label in audit.labels:
        if label.leaks:
            what = f"{counted(len(label.leaks), 'feature|features')} alone nearly always tell {label.target}"
            where = "Look whether they are made from what was written after the fact, under an earlier time"
            yield f"{what}: ROC-AUC {ALARM} or more. {where}.", _alone(label.leaks)
        dates = [single for single in label.agreed if single.is_date]
        if dates:
            what = (
                f"A remark: a date known beforehand alone nearly always tells {label.target}: ROC-AUC {ALARM} or more"
            )
            where = "Where accounts leave only at the end of a term it may"
            look = "Look whether the source writes the day an account left over it"
            yield f"{what}. {where}. {look}.", _alone(dates)
        known = [single for single in label.agreed if not single.is_date]
        if known:
            what = f"A remark: {counted(len(known), 'feature|features')} known to tell {label.target} nearly always do"
            yield (
                f"{what}: ROC-AUC {ALARM} or more. They count what it is made of, or known_tells names them.",
                _alone(known),
            )


def _alone(features: Sequence[SingleFeature]) -> Rows:
    return [{"feature": single.feature, "ROC-AUC": f"{single.roc_auc:.3f}"} for single in features]


FINDING_COLUMNS = (
    *("check", "target", "account_id", "cutoff", "feature"),
    *("stored", "rebuilt", "another_future", "given_to_training", "online", "roc_auc"),
)
"""Of the rows of :func:`finding_rows`."""


def finding_rows(audit: Audit) -> Rows:
    """Everything that was found, one row each, of the same columns; None where a column has nothing to say."""
    blank: dict[str, Any] = dict.fromkeys(FINDING_COLUMNS)
    pairs = [
        {
            "check": str(audit.store.cause(difference)),
            "account_id": difference.account_id,
            "cutoff": difference.cutoff,
            "feature": difference.feature,
        }
        | {"stored": difference.stored, "rebuilt": difference.rebuilt}
        | {"another_future": difference.exchanged, "given_to_training": difference.historical}
        for difference in audit.store.differences
    ]
    served = [
        {
            "check": "online",
            "account_id": difference.account_id,
            "cutoff": audit.store.online.cutoff,
            "feature": difference.feature,
        }
        | {"stored": difference.offline, "online": difference.online}
        for difference in audit.store.online.differences
    ]
    alarms = [
        {"check": "label", "target": label.target, "feature": single.feature, "roc_auc": single.roc_auc}
        for label in audit.labels
        for single in label.alarms
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


def _pair_row(difference: PairDifference) -> dict[str, str]:
    values = {
        "stored": difference.stored,
        "rebuilt": difference.rebuilt,
        "another future": difference.exchanged,
        "Feast's": difference.historical,
    }
    where = {"account": difference.account_id, "cutoff": f"{difference.cutoff:%Y-%m-%d}", "feature": difference.feature}
    return where | {name: _shown(value) for name, value in values.items()}


def _online_row(difference: OnlineDifference) -> dict[str, str]:
    values = {"offline": _shown(difference.offline), "online": _shown(difference.online)}
    return {"account": difference.account_id, "feature": difference.feature} | values


def _shown(value: object) -> str:
    """Every digit that can differ."""
    if value is None:
        return "null"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _by_feature(differences: Any) -> str:
    counts = Counter(difference.feature for difference in differences).most_common()
    return f"By feature: {listed(f'{feature} {count:,}' for feature, count in counts)}."


def _spread(differences: Any) -> list[Any]:
    """The first few, of every feature in turn."""
    by_feature: dict[str, list[Any]] = {}
    for difference in differences:
        by_feature.setdefault(difference.feature, []).append(difference)
    turns = zip_longest(*by_feature.values())
    return [difference for turn in turns for difference in turn if difference is not None][:_SHOWN]


def _pairs(differences: Any) -> int:
    return len({(difference.account_id, difference.cutoff) for difference in differences})
