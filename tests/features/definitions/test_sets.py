"""A set of declared features joins every service that a model may have been trained on beside it."""

from features.definitions.catalog import SERVICES
from features.definitions.declared import Metric
from features.definitions.sets import FeatureSet, catalog_with

WRITES = FeatureSet({"writes": Metric(of="count", where="method = 'POST'", windows=["7d"])})
DIGEST = WRITES.view.removeprefix("custom_")


def test_models_of_an_earlier_release_go_on_reading_the_set_they_were_trained_with():
    catalog = catalog_with(WRITES)
    for released in ("churn_v2", "upsell_v2", "churn_v3", "upsell_v3"):
        service = f"{released}_{DIGEST}"
        assert catalog.services[service] == (*SERVICES[released], "writes_7d")
        assert [feature.name for feature in catalog.features_of_service(service)][-1] == "writes_7d"
        assert catalog.custom[service] == WRITES.view


def test_training_takes_the_set_with_the_newest_release():
    assert catalog_with(WRITES).newest == {name: f"{name}_{DIGEST}" for name in ("churn_v3", "upsell_v3")}


def test_the_first_release_knew_no_declared_features():
    assert f"churn_v1_{DIGEST}" not in catalog_with(WRITES).services
