"""What every feature means: the one list from which views, model inputs, reasons, docs and labels are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from features.definitions.adoption import ADOPTION
from features.definitions.breadth import BREADTH
from features.definitions.commercial import COMMERCIAL
from features.definitions.errors import ERRORS
from features.definitions.feature import Family, FeatureSpec
from features.definitions.latency import LATENCY
from features.definitions.recency import RECENCY
from features.definitions.sdk import SDK
from features.definitions.support import SUPPORT
from features.definitions.usage import USAGE
from features.exceptions import DependencyError, InputError, listed

__all__ = [
    "BUILT_IN",
    "CATALOG",
    "FAMILIES",
    "GROUPS",
    "NEWEST_SERVICE",
    "SERVICES",
    "Catalog",
    "build_field",
    "cutoff_day_field",
    "features_of_group",
    "features_of_service",
    "spec",
]


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("usage_level", "Level of use", is_actionable=True),
        Family("usage_trend", "Trend of use", is_actionable=True),
        Family("silence", "Silence", is_actionable=True),
        Family("rhythm", "Rhythm"),
        Family("people", "People and tokens", is_actionable=True),
        Family("errors", "Failed calls", is_actionable=True),
        Family("auth_errors", "Authorisation errors", is_actionable=True),
        Family("throttling", "Throttling", is_actionable=True),
        Family("latency", "Latency", is_actionable=True),
        Family("breadth", "Breadth of use", is_actionable=True),
        Family("value_endpoint", "Main value endpoint", is_actionable=True),
        Family("contract", "Contract", actionable_up_to=("days_to_term_end", 60.0)),
        Family("spend", "Spend"),
        Family("quota", "Quota", is_actionable=True),
        Family("onboarding", "Onboarding", is_actionable=True),
        Family("sdk", "SDK", is_actionable=True),
        Family("support", "Support and logins", is_actionable=True),
    )
}

_FIRST = (*USAGE, *ERRORS, *LATENCY, *BREADTH, *COMMERCIAL)
_SECOND = (*_FIRST, *ADOPTION, *SDK, *SUPPORT)
_THIRD = (*_SECOND, *RECENCY)

CATALOG: tuple[FeatureSpec, ...] = _THIRD

GROUPS = tuple(dict.fromkeys(feature.group for feature in CATALOG))
"""Groups of features, which are feature views; :data:`features.groups.all.GROUPS` says how each is made."""

SERVICES: Mapping[str, tuple[str, ...]] = {
    f"{purpose}_v{version}": tuple(feature.name for feature in features)
    for version, features in enumerate((_FIRST, _SECOND, _THIRD), start=1)
    for purpose in ("churn", "upsell")
}
"""Feature service to feature names, in model order.

A model names the service it was trained on and goes on reading it. A set that changes is a new version, which training
takes (``training.labels.targets``); a version that was released never changes.
"""

NEWEST_SERVICE = "churn_v3"
"""A service with every feature of the catalogue."""

_BY_NAME = {feature.name: feature for feature in CATALOG}


def spec(name: str) -> FeatureSpec:
    """The built-in feature of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    try:
        return _BY_NAME[name]
    except KeyError as error:
        raise InputError(f"There is no feature {name!r}. `bellwether features describe` lists all.") from error


def features_of_group(group: str) -> tuple[FeatureSpec, ...]:
    """The features of one built-in group, which is one feature view."""
    return tuple(feature for feature in CATALOG if feature.group == group)


def features_of_service(service: str) -> tuple[FeatureSpec, ...]:
    """The features of one built-in feature service, in model order."""
    return tuple(spec(name) for name in SERVICES[service])


@dataclass(frozen=True)
class Catalog:
    """All features of a home: the built-in ones, and those its users declared (``features.home.declared_sets``).

    Attributes
    ----------
    features
        What is described, audited and checked: the built-in features and those declared today, each name once.
    views
        Group, which is one feature view, to its features in order: what is built and served. A set of declared
        features that was changed since is among them while a champion reads it.
    services
        Feature service to feature names, in model order.
    custom
        Feature service to the view of declared features it reads, for those that read one.
    newest
        Released feature service to the one with today's declared features, which training takes.
    """

    features: tuple[FeatureSpec, ...]
    views: Mapping[str, tuple[FeatureSpec, ...]]
    families: Mapping[str, Family]
    services: Mapping[str, tuple[str, ...]]
    custom: Mapping[str, str] = field(default_factory=dict)
    newest: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of every group that is built and served."""
        return tuple(self.views)

    @property
    def described_groups(self) -> tuple[str, ...]:
        """The groups of :attr:`features`."""
        return tuple(dict.fromkeys(feature.group for feature in self.features))

    def spec(self, name: str) -> FeatureSpec:
        """The feature of this name, as it is declared today.

        Raises
        ------
        InputError
            When there is none.
        """
        return self._by_name.get(name) or spec(name)

    def features_of_group(self, group: str) -> tuple[FeatureSpec, ...]:
        """The features of one group."""
        return self.views[group]

    def features_of_service(self, service: str) -> tuple[FeatureSpec, ...]:
        """The features of one feature service, in model order.

        Raises
        ------
        InputError, DependencyError
            When there is no such service: :meth:`refuse_unknown` says which.
        """
        self.refuse_unknown(service)
        declared = {feature.name: feature for feature in self.views.get(self.custom.get(service, ""), ())}
        return tuple(declared.get(name) or spec(name) for name in self.services[service])

    def groups_of_service(self, service: str) -> tuple[str, ...]:
        """The groups (feature views) a service reads, in model order.

        Raises
        ------
        InputError, DependencyError
            As :meth:`features_of_service`.
        """
        return tuple(dict.fromkeys(feature.group for feature in self.features_of_service(service)))

    @cached_property
    def _by_name(self) -> Mapping[str, FeatureSpec]:
        return {feature.name: feature for feature in self.features}

    def refuse_unknown(self, service: str) -> None:
        """Raise an error for a feature service that does not exist.

        Raises
        ------
        DependencyError
            For one of declared features that this home does not know, or no more.
        InputError
            For any other.
        """
        if service in self.services:
            return
        if service.startswith(tuple(f"{released}_" for released in SERVICES)):
            raise DependencyError(
                f"This home has no feature service {service}: the metrics and tables it was made of are not those of "
                "bellwether.toml, and no champion is known to read them. Promote its model again, or put the "
                "definitions back; then run `bellwether features build`, `apply` and `materialize`."
            )
        raise InputError(f"There is no feature service {service!r}. There are: {listed(self.services, limit=20)}.")


BUILT_IN = Catalog(
    features=CATALOG,
    views={group: features_of_group(group) for group in GROUPS},
    families=FAMILIES,
    services=SERVICES,
)
"""The catalogue of a home whose users declared nothing."""


def cutoff_day_field(group: str) -> str:
    """The view's never-null Int64 field that says which cutoff its row belongs to."""
    return f"{group}_cutoff_day"


def build_field(group: str) -> str:
    """The view's Int64 field that says which build of its cutoff an online row was copied from.

    It is stamped when the row is copied, and null in rows of versions that had no such field.
    """
    return f"{group}_build"
