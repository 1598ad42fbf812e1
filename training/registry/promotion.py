"""Makes a version the champion when everything about it is in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.exceptions import BellwetherError, GateRefusedError, InputError, listed
from features.home.declared_sets import sets_read
from features.home.home import Home
from features.offline.cutoffs import left_out
from features.storage.lock import exclusive_lock
from features.storage.passing import passing_folder
from training.labels.targets import target
from training.models import bundle as bundles
from training.models.bundle import Bundle, BundleError
from training.models.verify import check_apart
from training.registry.addresses import relocate
from training.registry.champions import local_copy
from training.registry.contests import note_promoted
from training.registry.mlflow_client import (
    BUNDLE_SHA256,
    CHALLENGER,
    CHAMPION,
    DATASET_FINGERPRINT,
    RULE,
    VERIFICATION,
    WAS_CHAMPION,
    client_of,
    is_begun,
    opened_mlflow,
    version_by_alias,
    version_by_number,
)
from training.registry.rule_versions import refuse_over_a_model, rule_version

if TYPE_CHECKING:
    pass
from training.registry.recorded import another_champion, no_candidate, nothing_registered

__all__ = ["PromoteReport", "promote"]


@dataclass(frozen=True)
class PromoteReport:
    """What a promotion did: the versions before and after, what the gate said, and the rule, in words, if it is one."""

    name: str
    version: str
    previous: str | None
    remarks: tuple[str, ...]
    rule: str | None = None


def promote(
    home: Home,
    target_name: str,
    *,
    version: str | None = None,
    expect_current: str | None = None,
    unproven: bool = False,
    rule: bool = False,
) -> PromoteReport:
    """Make a version the champion, if the gate lets it: the challenger, or the one asked for.

    What passes is promoted; what is not shown only where ``unproven`` says that somebody wants it all the same, and its
    answers say so from then on; what is refused never. With ``rule`` it is the best counting rule of the newest
    training, whatever the gate said of its model; it takes no place of a model that passed.

    ``expect_current`` is the champion the caller believes in (``none`` for no champion): a compare-and-set under the
    registry's lock, which MLflow itself does not have. A version that has been champion before has passed the gate
    before; going back to it asks only that its bundle still verifies.

    Raises
    ------
    GateRefusedError
        Saying why; the champion stays. An error while checking is a refusal too.
    InputError
        When there is no such version, or a rule and a version are asked for.
    DependencyError
        When nothing was ever registered.
    """
    if rule and version is not None:
        raise InputError(
            "--rule takes the rule of the newest training. Leave out --version; or leave out --rule, to go back to a "
            "rule that was champion."
        )
    name = target(target_name, home).registered_name
    if not is_begun(home):
        raise nothing_registered(target_name)
    with exclusive_lock(home.mlflow), opened_mlflow() as mlflow:
        relocate(home)
        client = client_of(mlflow, home)
        candidate = (
            version_by_alias(client, name, CHALLENGER) if version is None else version_by_number(client, name, version)
        )
        if candidate is None:
            raise no_candidate(target_name, version)
        current = version_by_alias(client, name, CHAMPION)
        previous = None if current is None else str(current.version)
        if expect_current is not None and expect_current != (previous or "none"):
            raise another_champion(target_name, previous, expect_current)
        if rule:
            refuse_over_a_model(mlflow, home, current)
            candidate = rule_version(mlflow, home, candidate)
        remarks, judged = _passed(mlflow, home, candidate, current, unproven=unproven)
        before, after = _declared(mlflow, home, current), _declared(mlflow, home, candidate)
        sets_read(home.champion_sets, target_name, [*before, *after])  # a killed run leaves both to be built and served
        client.set_model_version_tag(name, candidate.version, WAS_CHAMPION, "true")
        client.set_registered_model_alias(name, CHAMPION, candidate.version)
        note_promoted(client, name, str(candidate.version), judged)
        sets_read(home.champion_sets, target_name, after)
        if after:
            remarks = (*remarks, *left_out(home))
        return PromoteReport(
            name,
            str(candidate.version),
            previous,
            remarks,
            candidate.tags.get(RULE),
        )


def _declared(mlflow: Any, home: Home, version: Any) -> list[Mapping[str, Any]]:
    """The declared features a version reads, as JSON; none without a version, or where its bundle cannot be had."""
    if version is None:
        return []
    try:
        local = local_copy(mlflow, home, version)
        declared = bundles.read(local.bundle_folder, sha256=local.sha256).declared
    except BundleError:
        return []
    return [declared] if declared else []


def _passed(
    mlflow: Any, home: Home, candidate: Any, current: Any, *, unproven: bool
) -> tuple[tuple[str, ...], Bundle | None]:
    """What the gate said and the bundle it judged, or its refusal; no bundle where it has been champion before."""
    who = f"{candidate.name} version {candidate.version}"
    missing = [tag for tag in (BUNDLE_SHA256, DATASET_FINGERPRINT, VERIFICATION) if not candidate.tags.get(tag)]
    try:
        has_signature = _has_signature(mlflow, home, candidate)
        local = local_copy(mlflow, home, candidate)
        check_apart(local.bundle_folder, sha256=local.sha256)
        bundle = bundles.read(local.bundle_folder, sha256=local.sha256)
    except (BellwetherError, OSError, mlflow.exceptions.MlflowException) as error:
        raise GateRefusedError(f"{who} could not be checked, which is a refusal: {error}") from error
    if missing or not has_signature:
        lacking = listed(missing if has_signature else [*missing, "signature"])
        raise GateRefusedError(f"{who} lacks {lacking}. Train it again with `bellwether train`.")
    if bundle.fingerprint != candidate.tags[DATASET_FINGERPRINT]:
        raise GateRefusedError(f"{who} was trained on another dataset than its tag says. Train it again.")
    verdict = bundle.verdict
    if candidate.tags.get(WAS_CHAMPION):
        return (f"{who} has been champion before.",), None
    if bundle.rule is not None:
        refuse_over_a_model(mlflow, home, current)
        return verdict.sentences, None
    if verdict.answer == "refused":
        raise GateRefusedError(f"{who} is refused. {verdict.reason}")
    if verdict.is_unproven and not unproven:
        raise GateRefusedError(
            f"{who} is not shown to be good enough. {verdict.reason} `bellwether promote --target {bundle.target} "
            "--unproven` promotes it all the same; its answers say so. With --rule the best "
            "counting rule answers instead."
        )
    remarks: tuple[str, ...] = (f"Unproven: {verdict.reason}",) if verdict.is_unproven else (verdict.reason,)
    if current is not None and bundle.verdict.champion != str(current.version):
        try:
            champion_copy = local_copy(mlflow, home, current)
            rival = bundles.read(champion_copy.bundle_folder, sha256=champion_copy.sha256)
        except BundleError as error:
            # A champion that nobody can load answers for nobody: it must not keep its successor away.
            unread = f"The champion, version {current.version}, cannot be read, so nothing was compared: {error}"
            return (*remarks, unread), bundle
        if rival.rule is not None:
            if verdict.champion is None:
                return remarks, bundle
            raise GateRefusedError(
                f'{who} was judged against version {verdict.champion}, and the rule "{rival.rule.title}" is champion '
                f"now. Run `bellwether train --target {bundle.target}` again; it is held against every rule."
            )
        if (rival.recipe, rival.service) != (bundle.recipe, bundle.service):
            raise GateRefusedError(
                f"{who} was never compared with the champion, version {current.version}, whose recipe is another. "
                f"Run `bellwether train --target {bundle.target}` again; it compares them on the same rows."
            )
        remarks = (*remarks, f"Same recipe as the champion, version {current.version}, on other data.")
    return remarks, bundle


def _has_signature(mlflow: Any, home: Home, version: Any) -> bool:
    source = client_of(mlflow, home).get_model_version_download_uri(version.name, version.version)
    # Model.load takes its path for an address, in which `?`, `#` and `%` are no letters: hence a copy elsewhere.
    with passing_folder() as scratch:
        described = mlflow.artifacts.download_artifacts(artifact_uri=f"{source}/MLmodel", dst_path=str(scratch))
        return mlflow.models.Model.load(described).signature is not None
