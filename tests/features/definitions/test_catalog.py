"""The catalogue is sound: what is generated from it can be generated."""

import hashlib
import re
from string import Formatter

import pytest

from features.definitions.catalog import (
    CATALOG,
    FAMILIES,
    GROUPS,
    NEWEST_SERVICE,
    SERVICES,
    cutoff_day_field,
    features_of_group,
    features_of_service,
    spec,
)
from features.definitions.feature import FeatureSpec, Risk
from features.exceptions import InputError
from features.groups.all import GROUPS as EXPRESSIONS
from training.labels.targets import TARGETS

FORMATS = {
    "count",
    "percent",
    "share",
    "change",
    "rest",
    "growth",
    "ms",
    "days",
    "hours",
    "points",
    "stage",
    "times",
    "name",
}
NAMES = {feature.name for feature in CATALOG}

every_feature = pytest.mark.parametrize("feature", CATALOG, ids=lambda feature: feature.name)


def placeholders(text: str) -> list[tuple[str, str]]:
    return [(name, form or "") for _, name, form, _ in Formatter().parse(text) if name is not None]


@every_feature
def test_a_name_can_be_a_column_of_feast_and_lightgbm(feature: FeatureSpec) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", feature.name)
    assert not feature.name.endswith(("_x", "_y"))


def test_names_are_unique_and_none_is_a_field_of_the_store() -> None:
    assert len(NAMES) == len(CATALOG)
    assert not NAMES & {"account_id", "event_timestamp", *map(cutoff_day_field, GROUPS)}


def test_a_view_is_named_like_a_feature_and_holds_some() -> None:
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", group) and features_of_group(group) for group in GROUPS)
    assert sum(len(features_of_group(group)) for group in GROUPS) == len(CATALOG)


@every_feature
def test_a_feature_belongs_to_a_group_and_a_family(feature: FeatureSpec) -> None:
    assert feature.group in GROUPS
    assert feature.family in FAMILIES


def test_a_family_has_its_name() -> None:
    assert all(name == family.name for name, family in FAMILIES.items())


@every_feature
def test_a_reason_speaks_of_features_of_the_row_in_known_formats(feature: FeatureSpec) -> None:
    named = placeholders(feature.text or "")
    allowed = NAMES | ({"prior"} if feature.prior_of else set()) | ({"base"} if feature.base_of else set())
    assert {name for name, _ in named} <= allowed
    assert {form.split()[0] for _, form in named} <= FORMATS
    assert feature.text or feature.than or feature.spoken_as


@every_feature
def test_a_sentence_ends(feature: FeatureSpec) -> None:
    texts = (feature.text, feature.past_text, feature.zero_text, feature.below_text, feature.upsell_text)
    assert all(text.endswith(".") for text in texts if text is not None)


@every_feature
def test_a_yardstick_is_named_once_and_a_longer_window_is_there(feature: FeatureSpec) -> None:
    assert all(words.count("{}") == 1 for words in feature.than or ())
    if feature.usual is not None:
        assert (spec(feature.usual[0]).window_days or 0) > (feature.window_days or 0)
        assert spec(feature.usual[0]).unit == feature.unit


@every_feature
def test_a_feature_is_spoken_as_one_of_the_same_direction(feature: FeatureSpec) -> None:
    if feature.spoken_as is not None:
        assert spec(feature.spoken_as).sounds("churn") == feature.sounds("churn")


@every_feature
def test_a_prior_is_said_where_the_ratio_allows_it(feature: FeatureSpec) -> None:
    says_prior = "{prior" in (feature.text or "")
    assert says_prior == (feature.prior_of is not None)
    if feature.prior_of:
        assert feature.unit == "ratio"
        assert spec(feature.prior_of).kind == "int"


@every_feature
def test_the_window_in_the_name_is_looked_at(feature: FeatureSpec) -> None:
    spans = [int(days) for days in re.findall(r"_(\d+)d(?=_|$)", feature.name)]
    assert feature.window_days is None or not spans or feature.window_days >= max(spans)


@every_feature
def test_a_category_has_no_certain_direction(feature: FeatureSpec) -> None:
    if feature.kind == "category":  # a monotone constraint on one aborts LightGBM
        assert feature.churn is Risk.DEPENDS
        assert feature.upsell is Risk.DEPENDS


def test_a_service_names_features_once_in_model_order() -> None:
    for service, names in SERVICES.items():
        assert re.fullmatch(r"[a-z]+_v[0-9]+", service)
        assert len(names) == len(set(names))
        assert [feature.name for feature in features_of_service(service)] == list(names)


@pytest.mark.parametrize(
    ("version", "features", "digest"),
    [(1, 70, "3201966c7d8fd02a"), (2, 90, "ac01690586f8423a"), (3, 107, "781947c46f9d47fa")],
)
def test_a_released_version_of_a_service_stays_what_models_were_trained_on(
    version: int, features: int, digest: str
) -> None:
    names = SERVICES[f"churn_v{version}"]
    assert names == SERVICES[f"upsell_v{version}"]
    assert len(names) == features
    assert hashlib.sha256(" ".join(names).encode()).hexdigest().startswith(digest)


def test_the_newest_service_has_every_feature() -> None:
    newest = {NEWEST_SERVICE, NEWEST_SERVICE.replace("churn", "upsell")}
    assert {SERVICES[service] for service in newest} == {tuple(feature.name for feature in CATALOG)}
    assert {TARGETS[name].service for name in TARGETS} == newest


def test_the_scorecard_reads_the_core_and_what_forgets_which_the_booster_does_not():
    core = {
        *(f"{what}_{days}d" for what in ("calls", "active_days", "endpoints_used") for days in (7, 28, 91)),
        *(f"{what}_{days}d" for what in ("error_rate", "latency_p95_ms") for days in (7, 28)),
        "days_since_last_call",
    }
    forgetting = {feature.name for feature in features_of_group("recency")}
    assert {feature.name for feature in CATALOG if "scorecard" in feature.readers} == core | forgetting
    assert {feature.name for feature in CATALOG if "booster" not in feature.readers} == forgetting
    assert (len(core), len(forgetting)) == (14, 17)


def test_what_is_null_while_the_log_is_young_says_how_much_log_it_needs():
    needed = {feature.name: feature.history_days for feature in CATALOG if feature.history_days}
    assert needed == {"calls_28d_vs_year_ago": 392, "calls_weekly_slope_91d": 91, "calls_drop_from_peak_91d": 91}


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(InputError, match=r"no feature 'calls_8d'.*features describe"):
        spec("calls_8d")


@pytest.mark.parametrize(
    ("risk", "constraint"), [(Risk.CERTAIN_UP, 1), (Risk.CERTAIN_DOWN, -1), (Risk.UP, 0), (Risk.DEPENDS, 0)]
)
def test_only_certain_directions_bind_the_model(risk: Risk, constraint: int) -> None:
    assert risk.monotone == constraint


def test_every_group_of_the_catalogue_is_made_and_no_other():
    assert tuple(EXPRESSIONS) == GROUPS
