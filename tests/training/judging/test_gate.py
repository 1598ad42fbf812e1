"""Three answers: what passes, what is not shown, and what is refused."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from training.judging.gate import CALIBRATION_BOUNDS, Estimate, Evidence, ruling

NAN = float("nan")
SE = 0.02
DIFFERENCES = {
    "better": Estimate(0.06, 0.02, 0.10),
    "not worse": Estimate(0.004, -0.002, 0.01),
    "unclear": Estimate(-0.01, -0.08, 0.06),
    "worse": Estimate(-0.06, -0.10, -0.02),
    "nan": Estimate(NAN, NAN, NAN),
}
SOUND = {"calibration_slope": Estimate(1.0, 0.7, 1.4), "predicted_over_observed": Estimate(1.0, 0.8, 1.2)}
EVIDENCE = Evidence(
    events=100,
    days=120,
    brier_skill=Estimate(0.03, 0.01, 0.05),
    calibration=SOUND,
    rules={"calls fell by half": DIFFERENCES["better"]},
)


def answer(**changes):
    return ruling(replace(EVIDENCE, **changes)).answer


def expected(rule, champion, reference):
    """The six lines once more, as a person would read them."""
    if "nan" in (rule, champion, reference) or "worse" in (rule, champion):
        return "refused"
    if champion in ("better", "not worse") and reference in ("better", "not worse"):
        return "passes"
    return "not_shown"


@pytest.mark.parametrize(("rule", "champion", "reference"), list(product(DIFFERENCES, repeat=3)))
def test_another_recipe_against_a_model(rule, champion, reference):
    found = answer(
        rules={"calls fell by half": DIFFERENCES[rule]},
        champion=DIFFERENCES[champion],
        reference=DIFFERENCES[reference],
    )
    assert found == expected(rule, champion, reference)


@pytest.mark.parametrize("rule", DIFFERENCES)
def test_without_a_champion_every_rule_is_to_be_beaten(rule):
    wanted = {"better": "passes", "worse": "refused", "nan": "refused"}.get(rule, "not_shown")
    assert answer(rules={"a": DIFFERENCES["better"], "b": DIFFERENCES[rule]}) == wanted
    assert answer(brier_skill=Estimate(-0.001, -0.02, 0.02)) == "not_shown"


@pytest.mark.parametrize("rule", DIFFERENCES)
def test_a_refresh_passes_whatever_it_no_longer_shows(rule):
    same = Estimate(0.0, 0.0, 0.0)
    refresh = replace(EVIDENCE, is_refresh=True, champion=same, reference=same, rules={"a": DIFFERENCES[rule]})
    found = ruling(refresh)
    assert found.answer == ("refused" if rule in ("worse", "nan") else "passes")
    if rule in ("not worse", "unclear"):
        assert found.remarks[0].startswith("It is no longer shown to rank better than a")
    fewer = replace(refresh, recall=Estimate(0.2, 0.1, 0.3), champion_recall=Estimate(0.45, 0.35, 0.5))
    assert ruling(fewer).answer == ("refused" if rule in ("worse", "nan") else "not_shown")
    assert ruling(replace(fewer, champion_recall=Estimate(0.4, 0.3, 0.5))).answer == found.answer


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"faults": ("signature",)}, "It lacks its signature"),
        ({"tells": {"closed_on": Estimate(0.976, 0.96, 0.99)}}, "closed_on alone tells the label"),
        ({"brier_skill": Estimate(-0.03, -0.05, -0.01)}, "worse than the base rate alone"),
        ({"brier_skill": Estimate(NAN, NAN, NAN)}, "Its Brier skill could not be measured"),
        ({"calibration": SOUND | {"calibration_slope": Estimate(0.5, 0.3, 0.79)}}, "calibration slope is 0.500"),
        ({"calibration": SOUND | {"calibration_slope": Estimate(1.5, 1.26, 2.0)}}, "calibration slope is 1.500"),
        ({"calibration": SOUND | {"predicted_over_observed": Estimate(2.0, 1.16, 3.0)}}, "predicted over observed"),
        ({"calibration": SOUND | {"calibration_slope": Estimate(1.0, NAN, NAN)}}, "could not be measured"),
        ({"rules": {'"calls fell by half"': DIFFERENCES["worse"]}}, 'It ranks worse than "calls fell by half"'),
    ],
)
def test_refusals_say_why(changes, text):
    found = ruling(replace(EVIDENCE, **changes))
    assert found.answer == "refused"
    assert text in found.reason
    refresh = replace(EVIDENCE, **changes, is_refresh=True, champion=Estimate(0.0, 0.0, 0.0))
    assert ruling(refresh).answer == "refused"


def test_a_tell_needs_ten_events_and_a_lower_bound_of_95():
    tells = {"closed_on": Estimate(0.976, 0.96, 0.99)}
    assert answer(tells=tells, events=9) == "not_shown"
    assert answer(tells={"closed_on": Estimate(0.976, 0.94, 0.99)}) == "passes"


@pytest.mark.parametrize("is_refresh", [False, True])
def test_no_event_shows_nothing_and_a_handful_no_more(is_refresh):
    same = Estimate(0.0, 0.0, 0.0) if is_refresh else None
    nothing = Estimate(NAN, NAN, NAN)
    unmeasured = dict.fromkeys(CALIBRATION_BOUNDS, nothing)
    none = replace(EVIDENCE, events=0, calibration=unmeasured, brier_skill=nothing, rules={"a": nothing})
    found = ruling(replace(none, is_refresh=is_refresh, champion=same))
    assert (found.answer, "none of the events" in found.reason) == ("not_shown", True)
    # Of three events an interval holds but three accounts: it looks narrow and shows nothing, either way.
    for difference in DIFFERENCES.values():
        few = answer(events=3, rules={"a": difference}, is_refresh=is_refresh, champion=same)
        assert few == ("passes" if is_refresh else "not_shown")


def test_a_figure_out_of_bounds_within_its_noise_is_said():
    found = ruling(replace(EVIDENCE, calibration=SOUND | {"calibration_slope": Estimate(1.3, 0.7, 1.9)}))
    assert found.answer == "passes"
    assert found.remarks == (
        "Its scores may be too timid: its calibration slope is 1.300 [0.700, 1.900], not shown to lie in 0.8 to 1.25.",
    )


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {  # ROC-AUC 0.528, slope 8, against a champion of 0.605
                "events": 30,
                "champion": Estimate(-0.077, -0.2, 0.05),
                "reference": Estimate(-0.077, -0.2, 0.05),
                "calibration": SOUND | {"calibration_slope": Estimate(8.0, -2.0, 18.0)},
                "rules": {"a": Estimate(0.01, -0.1, 0.12)},
            },
            "not_shown",
        ),
        ({"calibration": SOUND | {"predicted_over_observed": Estimate(0.31, 0.2, 0.6)}}, "refused"),
        ({"calibration": SOUND | {"predicted_over_observed": Estimate(0.31, 0.12, 0.9)}}, "not_shown"),
        (  # 19 upgrades, below the best rule
            {"events": 19, "rules": {"a": Estimate(-0.02, -0.19, 0.15), "b": Estimate(0.1, -0.03, 0.21)}},
            "not_shown",
        ),
        ({"tells": {"closes_in": Estimate(0.976, 0.955, 0.99)}}, "refused"),  # a column that knows the future
    ],
)
def test_what_once_was_promoted_is_no_more(changes, wanted):
    assert answer(**changes) == wanted


def test_the_verdict_says_how_many_events_would_tell():
    found = ruling(
        replace(EVIDENCE, events=19, days=90, rules={'"90 % of the quota used"': Estimate(0.06, -0.1, 0.21)})
    )
    assert found.reason == (
        'It is not shown to rank better than "90 % of the quota used". 19 events cannot tell differences under 0.16; '
        "about 140 could, some 19 months at this rate."
    )
    assert ruling(EVIDENCE).reason == "It is shown to rank better than calls fell by half on 100 events."
    named = ruling(replace(EVIDENCE, rules={"a": DIFFERENCES["better"], "b": DIFFERENCES["better"]}))
    assert named.reason == "It is shown to rank better than a and b on 100 events."


def interval(value, se):
    return Estimate(value, value - 1.96 * se, value + 1.96 * se)


def adopted(answers, generator, *, candidates, se, runs):
    """True quality of the champion after so many retrainings, and the best step of each run, through the gate.

    The gate is monotone in both differences, so that the least difference to the reference that passes, found once for
    each k by bisection, stands for every call.
    """
    steps = candidates.shape[1]
    champion, reference, best = np.zeros(runs), np.zeros(runs), np.full(runs, -np.inf)
    k = np.zeros(runs, dtype=int)
    for step in range(steps):
        quality, noise = champion + candidates[:, step], se * generator.normal(size=runs)
        k += 1
        ahead, beyond = quality - champion + noise, quality - reference + noise
        passes = (ahead >= 0) & (beyond >= answers[k])
        best = np.where(passes, np.maximum(best, candidates[:, step]), best)
        reference = np.where(passes & (beyond > 1.96 * se), quality, reference)
        champion, k = np.where(passes, quality, champion), np.where(passes, 0, k)
    return champion, best


def least_that_passes(se, most):
    """For each k the smallest difference to the reference that the gate lets pass."""

    def passes(k, difference):
        near = interval(difference, se)
        return answer(champion=interval(max(difference, 0.0), se), reference=near, judged_recipes=k) == "passes"

    edges = np.full(most + 1, NAN)
    for k in range(1, most + 1):
        low, high = -0.05, 0.5
        assert passes(k, high)
        assert not passes(k, low)
        while high - low > 1e-4:
            middle = (low + high) / 2
            low, high = (low, middle) if passes(k, middle) else (middle, high)
        edges[k] = high
    return edges


@pytest.mark.parametrize("se", [0.045, 0.0105, 0.002])
def test_small_losses_do_not_add_up(se):
    generator = np.random.default_rng(1)
    candidates = generator.normal(-0.006, 0.002, size=(1000, 200))
    quality, _ = adopted(least_that_passes(se, 200), generator, candidates=candidates, se=se, runs=1000)
    assert (quality >= -0.01).mean() >= 0.9


def test_a_good_idea_is_adopted():
    generator = np.random.default_rng(2)
    ideas = np.where(generator.random((1000, 60)) < 0.1, 0.02, -0.01)
    _, best = adopted(least_that_passes(0.0105, 60), generator, candidates=ideas, se=0.0105, runs=1000)
    assert (best == 0.02).mean() >= 0.85


def test_a_refresh_passes_two_hundred_times():
    generator = np.random.default_rng(3)
    same = Estimate(0.0, 0.0, 0.0)
    for _ in range(200):
        rules = {"a": interval(0.08 + 0.045 * generator.normal(), 0.045)}
        assert answer(is_refresh=True, champion=same, reference=same, rules=rules) == "passes"


def test_the_level_follows_the_number_of_recipes():
    assert math.isclose(interval(0.0, SE).low_at(0.95), -1.96 * SE, rel_tol=1e-3)
    assert interval(0.0, SE).low_at(0.995) < interval(0.0, SE).low_at(0.95)
