"""A bundle's files: the same bytes from the same bundle, and a sentence for what they cannot hold."""

import hashlib
import json
from dataclasses import replace
from math import isnan, nan

import pytest

from training.models import bundle as bundles
from training.models.bands import BandRate
from training.models.bundle import Bundle, BundleError, Calibration, Column, Comparison, Golden, Verdict
from training.models.rule import Rule
from training.models.scorecard import Scorecard, Term
from training.models.stack import BOOSTER_ALONE, Stack
from training.models.verify import check_apart, load_model

SMALL = Bundle(
    target="churn",
    title="leaving",
    service="churn_v1",
    horizon_days=30,
    lead_days=7,
    features=("calls_7d", "plan"),
    kinds={"calls_7d": "int", "plan": "category"},
    vocabularies={"plan": ("basic", "café")},
    columns=(Column("calls_7d", "calls_7d"), Column("plan=basic", "plan", "basic")),
    left_out={"mrr": "it is never there"},
    bands={"high": 0.5, "medium": 0.25},
    band_rates={"high": BandRate(40, 12, 0.6, 0.4, 0.8)},
    calibration=Calibration("platt", 1.5, -0.5),
    statistics={"calls_7d": {"mean": 3.5, "share_missing": nan}},
    golden=Golden({"calls_7d": (1, None), "plan": ("basic", None)}, (-1.25, 0.0)),
    spans={"judged": ("2026-01-05", "2026-02-02")},
    metrics={"roc_auc": 0.75, "rows": 100},
    comparisons=(Comparison("a rule", "roc_auc", 0.75, 0.7, 0.05, nan, 0.1),),
    verdict=Verdict("passes", "It is shown.", ("few events",)),
    recipe={"num_leaves": 31, "learning_rate": 0.05},
    rounds=40,
    fingerprint="0" * 64,
    versions={"lightgbm": "4.7"},
    commit=None,
    model_text="tree\n",
)


def changed(folder, name, **values):
    """The SHA-256 of a bundle one of whose files has other values; None takes a value out."""
    bundles.write(SMALL, folder)
    content = json.loads((folder / name).read_text()) | values
    data = json.dumps({key: value for key, value in content.items() if value is not None or key not in values}).encode()
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    if name in manifest:
        manifest[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    data = json.dumps(manifest if name in manifest else content).encode()
    (folder / "manifest.json").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_the_bytes_are_pinned_since_they_name_the_bundle(tmp_path):
    assert bundles.write(SMALL, tmp_path) == "67d99ec839b669dc2d50dd639de6f0a180e1321edb6b30fbde1b87f6a0876a7f"


def test_a_bundle_of_an_earlier_version_keeps_its_bands_without_what_was_observed(tmp_path):
    earlier = bundles.read(tmp_path, sha256=changed(tmp_path, "bundle.json", band_rates=None))
    assert (earlier.bands, earlier.band_rates) == (SMALL.bands, {})


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        (
            {"refusals": [], "remarks": ["few events"], "champion": "2"},
            Verdict("passes", "It passed the gate of an earlier version.", ("few events",), "2"),
        ),
        (
            {"refusals": ["worse", "off"], "remarks": ["few events"], "champion": None},
            Verdict("refused", "worse", ("off", "few events")),
        ),
    ],
)
def test_the_verdict_of_an_earlier_version_is_one_of_todays(tmp_path, earlier, today):
    sha256 = changed(tmp_path, "bundle.json", verdict=earlier, intervals=None)
    bundle = bundles.read(tmp_path, sha256=sha256)
    assert (bundle.verdict, bundle.intervals) == (today, {})
    assert bundle == replace(SMALL, verdict=today, statistics=bundle.statistics, comparisons=bundle.comparisons)


def test_numbers_come_back_as_they_were_written(tmp_path):
    bundle = bundles.read(tmp_path, sha256=bundles.write(SMALL, tmp_path))
    assert isnan(SMALL.statistics["calls_7d"]["share_missing"])
    assert bundle.statistics["calls_7d"] == {"mean": 3.5, "share_missing": None}
    assert bundle.comparisons[0] == replace(SMALL.comparisons[0], low=None)
    assert repr(bundle.recipe) == "{'learning_rate': 0.05, 'num_leaves': 31}"
    assert bundles.write(bundle, tmp_path / "again") == bundles.write(SMALL, tmp_path)
    same = {"statistics": SMALL.statistics, "comparisons": SMALL.comparisons}
    assert replace(bundle, **same) == SMALL


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("bundle.json", {"verdict": None}, "verdict: Field required"),
        ("bundle.json", {"mood": "sunny"}, "mood: Unexpected keyword argument"),
        ("bundle.json", {"columns": [{"name": "a", "feature": "b", "hue": 1}]}, "columns.0.hue: Unexpected keyword"),
        ("bundle.json", {"metrics": {"roc_auc": "high"}}, "metrics.roc_auc: Value error, a number or null is wanted"),
        ("bundle.json", {"rounds": "many"}, "rounds: Input should be a valid integer"),
        ("calibration.json", {"slope": None}, "calibration.slope: Field required"),
        ("manifest.json", {"model.txt": {"size": 5}}, "model.txt.sha256: Field required"),
    ],
)
def test_content_of_another_version_is_told_by_its_place(tmp_path, name, values, reason):
    sha256 = changed(tmp_path, name, **values)
    with pytest.raises(
        BundleError, match=rf"was written by another version: {reason}.*Train and promote a model again"
    ):
        bundles.read(tmp_path, sha256=sha256)


def test_a_manifest_that_lists_other_files_is_refused(tmp_path):
    sha256 = changed(tmp_path, "manifest.json", **{"notes.txt": {"sha256": "0", "size": 0}})
    with pytest.raises(BundleError, match=r"lists .*notes.txt; a bundle has model.txt, calibration.json, bundle.json"):
        bundles.read(tmp_path, sha256=sha256)


CARD = Scorecard(-1.0, (Term("calls_7d", "usage_level", (0.0, 5.0), (0.25, 0.75), -0.1, 1 / 3, 0.0),))
BOTH = replace(SMALL, stack=Stack(0.75, 0.5, -0.1, (0.5, 0.2, 0.9)), scorecard=CARD)


def test_a_scorecard_is_a_file_of_its_own_and_comes_back_to_the_last_digit(tmp_path):
    bundle = bundles.read(tmp_path, sha256=bundles.write(BOTH, tmp_path))
    assert (bundle.stack, bundle.scorecard) == (BOTH.stack, CARD)
    assert "scorecard" not in json.loads((tmp_path / "bundle.json").read_text())
    assert json.loads((tmp_path / "scorecard.json").read_text())["base_margin"] == -1


def test_a_changed_scorecard_is_refused_before_it_is_read(tmp_path):
    sha256 = bundles.write(BOTH, tmp_path)
    (tmp_path / "scorecard.json").write_text("{")
    with pytest.raises(BundleError, match=r"scorecard.json is not the file the model was registered with"):
        bundles.read(tmp_path, sha256=sha256)


def test_a_bundle_from_before_there_were_scorecards_is_its_booster_alone(tmp_path):
    bundle = bundles.read(tmp_path, sha256=changed(tmp_path, "bundle.json", stack=None))
    assert (bundle.stack, bundle.scorecard) == (BOOSTER_ALONE, None)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("scorecard.json", None, "it has no scorecard, whose weight is 0.5"),
        ("scorecard.json", b'{"base_margin": 0.0, "terms": []}', "This is no scorecard: it has no terms"),
        ("scorecard.json", b"{", "This is no scorecard: : Invalid JSON"),
        ("bundle.json", b"", "it has a scorecard, whose weight is 0"),
    ],
)
def test_a_scorecard_that_does_not_fit_its_bundle_is_refused(tmp_path, name, data, reason):
    bundles.write(BOTH, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    if data is None:
        del manifest[name]
    else:
        content = json.loads((tmp_path / name).read_text())
        data = data or json.dumps({key: value for key, value in content.items() if key != "stack"}).encode()
        (tmp_path / name).write_bytes(data)
        manifest[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    data = json.dumps(manifest).encode()
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(BundleError, match=f"written by another version: .*{reason}"):
        bundles.read(tmp_path, sha256=hashlib.sha256(data).hexdigest())


RULE = Rule(
    "calls this week", "calls_7d", "usage_level", (0.0, 5.0), (0.25, 0.75), None, None, -1.0, 0.5, 0.25, 0.0, -3
)
OF_RULE = replace(
    SMALL,
    features=("calls_7d",),
    kinds={"calls_7d": "int"},
    vocabularies={},
    columns=(Column("calls_7d", "calls_7d"),),
    golden=Golden({"calls_7d": (0, 5, None)}, (-3.25, -3.75, -3.25)),
    recipe={},
    rounds=0,
    model_text="",
    rule=RULE,
)


def test_a_rule_is_a_bundle_of_its_own_kind(tmp_path):
    sha256 = bundles.write(OF_RULE, tmp_path, out_of_time=b"scores")
    assert {path.name for path in tmp_path.iterdir()} == {
        "rule.json",
        "calibration.json",
        "bundle.json",
        "out_of_time.parquet",
        "manifest.json",
    }
    bundle = bundles.read(tmp_path, sha256=sha256)
    assert bundle.rule == RULE
    assert bundle == replace(OF_RULE, statistics=bundle.statistics, comparisons=bundle.comparisons)
    assert load_model(bundle) is None
    check_apart(tmp_path, sha256=sha256)


def test_a_changed_rule_is_refused_before_it_is_read(tmp_path):
    sha256 = bundles.write(OF_RULE, tmp_path)
    (tmp_path / "rule.json").write_text("{")
    with pytest.raises(BundleError, match=r"rule.json is not the file the model was registered with"):
        bundles.read(tmp_path, sha256=sha256)


@pytest.mark.parametrize(
    ("golden", "reason"),
    [
        (Golden({"calls_7d": (0,)}, (-3.3,)), "The churn rule gives other margins than when it was made on 1 of 1"),
        (Golden({"calls_1d": (0,)}, (-3.3,)), "calls_7d, which the rule .* reads, is missing"),
    ],
)
def test_a_rule_that_does_not_do_what_it_did_is_refused(golden, reason):
    with pytest.raises(BundleError, match=reason):
        load_model(replace(OF_RULE, golden=golden))


def test_a_bundle_is_a_model_or_a_rule():
    with pytest.raises(ValueError, match="it has a booster and a rule"):
        replace(SMALL, rule=RULE)
    with pytest.raises(ValueError, match="it has neither a booster nor a rule"):
        replace(SMALL, model_text="")


def test_a_manifest_that_lists_a_model_and_a_rule_is_refused(tmp_path):
    sha256 = changed(tmp_path, "manifest.json", **{"rule.json": {"sha256": "0", "size": 0}})
    with pytest.raises(BundleError, match=r"lists .*rule.json; a bundle has rule.json, calibration.json, bundle.json"):
        bundles.read(tmp_path, sha256=sha256)
