"""The whole audit of a home's features: the time machine, the online store, and each feature against the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.audit.findings import StoreAudit
from features.audit.time_machine import audit_store
from features.home.home import Home
from features.home.raw_tables import complete_until
from features.progress import Progress, silent
from training.judging.single_features import LabelAudit, audit_labels
from training.labels.targets import TARGETS, default_target, target

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what was found."""

    store: StoreAudit
    labels: tuple[LabelAudit, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found but remarks."""
        return self.store.is_clean and not any(one.leaks for one in self.labels)


def audit(
    home: Home,
    *,
    sample: int,
    seed: int,
    target_names: Sequence[str] = (),
    progress: Progress | None = None,
) -> Audit:
    """Audit ``sample`` random (account, cutoff) pairs, and every feature against the labels of the targets named.

    Without names the targets are those made from subscription events; where there are none, that made from calls.

    Raises
    ------
    InputError
        When there is no such target, the sample is empty, or no features are built.
    LockHeldError, DependencyError, WorkFailedError
        As ``features.audit.time_machine.audit_store``.
    """
    chosen = [target(name, home) for name in target_names or _configured(home)]
    report = progress or silent
    store = audit_store(home, sample=sample, seed=seed, progress=report)
    labels = []
    for done, one in enumerate(chosen, start=1):
        labels.append(audit_labels(home, one, seed=seed))
        report("hold single features against labels", done, len(chosen))
    return Audit(store, tuple(labels))


def _configured(home: Home) -> list[str]:
    # With subscriptions nobody need learn from silence, which a silent month foretells without any leak.
    if complete_until(home, "subscriptions") is None:
        return [default_target(has_subscriptions=False)]
    return [name for name, kind in TARGETS.items() if kind.source == "subscriptions"]
