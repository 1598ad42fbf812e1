"""The audit finds nothing where nothing leaks, and each of five leaks that are planted here on purpose."""

import contextlib
import json
import random
import sqlite3
from typing import Any

import ibis
import pytest
from click.testing import CliRunner

from features.audit.findings import ROW, Cause
from features.audit.time_machine import audit_store
from features.build.build import build
from features.exceptions import DependencyError, InputError, LockHeldError
from features.feature_store.opened import online_table
from features.feature_store.store import open_store
from features.groups.all import GROUPS
from features.groups.errors import error_features
from features.groups.inputs import REACH, Inputs
from features.groups.observation import beside
from features.groups.usage import usage_features
from features.home.home import Home
from features.rollup.count import roll_up
from features.settings.fields import Settings
from features.storage.lock import exclusive_lock
from features.windows import DAY, first_cutoffs, utc
from serving.cli import main
from tests.conftest import World
from tests.features.conftest import Log, write_feature_files
from training.watching import audit as audits
from training.watching.audit import Audit, audit
from training.watching.audit_text import finding_rows, sections, summary_rows

CLOSED, NEWEST = utc(2026, 3, 2), utc(2026, 3, 16)
CUTOFFS = (CLOSED, NEWEST)
ACCOUNTS = [f"a{number:02d}" for number in range(30)]
LEAVERS, UPGRADER, LARGE, SIGNED_UP = ACCOUNTS[:12], "a20", "a29", "b"
SETTINGS: dict[str, Any] = {
    "horizon_days": 7,
    "lead_days": 2,
    "renewal_grace_days": 3,
    "reactivation_days": 3,
    "minimum_tenure_days": 5,
    "threads": 1,
}


def company(log: Log) -> Log:
    """Six weeks of calls, some late, and a week after the newest cutoff; twelve accounts leave in the label window."""
    dice = random.Random(5)
    for place, name in enumerate(ACCOUNTS):
        for _ in range(dice.randrange(20, 60)):
            at = NEWEST + dice.uniform(-50, 9) * DAY
            late = dice.choice([0, 0, 0, 2]) * DAY
            status = dice.choice([200, 200, 500])
            log.add("events", {"account_id": name, "event_time": at, "ingested_at": at + late, "status": status})
        left = CLOSED + dice.uniform(3, 8) * DAY if name in LEAVERS else None
        contract = {"account_id": name, "plan": "pro" if name == LARGE else "basic", "mrr": 10.0 + 7 * place % 30}
        # The label column: somebody writes the day an account left over the end of its term, and no time says so.
        contract["term_end"] = left or NEWEST + dice.uniform(50, 300) * DAY
        log.add("subscriptions", contract | {"kind": "start", "occurred_at": CLOSED - 100 * DAY})
        if left:
            log.add("subscriptions", contract | {"kind": "cancel", "occurred_at": left})
        if name == UPGRADER:
            learned = {"occurred_at": CLOSED - 5 * DAY, "known_at": CLOSED + 3 * DAY}
            log.add("subscriptions", contract | learned | {"kind": "upgrade", "plan": "pro", "mrr": 99.0})
    # Known two days late, as the CRM copies its accounts over.
    log.add("accounts", {"account_id": SIGNED_UP, "created_at": CLOSED - 3 * DAY, "known_at": CLOSED + 2 * DAY})
    log.store()
    with log.home.stores.raw.writer() as writer:
        writer.notes["complete_until"] = dict.fromkeys(("events", "subscriptions"), NEWEST.isoformat())
    return log


def calls_of_the_week_after(inputs: Inputs) -> ibis.Table:
    """A window turned the wrong way round."""
    rollups, cutoffs = inputs.rollups, inputs.cutoffs
    begin = cutoffs.cutoff.date()
    days = rollups.usage.join(
        cutoffs,
        [rollups.usage.event_day >= begin, rollups.usage.event_day < begin + ibis.interval(days=7)],
    )
    after = days.group_by("account_id", "cutoff").agg(after=days.calls.sum())
    joined = beside(usage_features(inputs).drop("calls_7d"), after)
    return joined.mutate(calls_7d=joined.after.fill_null(0))


def errors_in_percent(inputs: Inputs) -> ibis.Table:
    """Another meaning under the old name."""
    honest = error_features(inputs)
    return honest.mutate(error_rate_28d=honest.error_rate_28d * 100)


def first_cutoffs_that_ignore_when_it_was_known(happened: Any, _known: Any, *, grace_hours: float) -> Any:
    """The first cutoff that may see an event, had everybody known of it at once."""
    return first_cutoffs(happened, happened, grace_hours=grace_hours)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The audit of one home with all the leaks, over every pair."""
    log = company(Log(tmp_path_factory.mktemp("leaks") / "home", **SETTINGS))
    settings = log.settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(GROUPS, "usage", calls_of_the_week_after)
        patch.setattr("features.build.workbench.REACH", {**REACH, "usage": (range(-6, 1), *REACH["usage"])})
        patch.setattr("features.groups.population.is_known", lambda known_at, *_, **__: known_at.notnull())
        patch.setattr("features.subscriptions.known.first_cutoffs", first_cutoffs_that_ignore_when_it_was_known)
        roll_up(Home(settings))
        build(Home(settings), CUTOFFS, now=NEWEST + DAY)
        store = open_store(Home(settings))
        store.apply()
        store.materialize(NEWEST)
        # Only now, behind what was built, and without a new version.
        patch.setitem(GROUPS, "errors", errors_in_percent)
        table = online_table(Home(settings), "usage")
        with contextlib.closing(sqlite3.connect(settings.home / "feast/online.db")) as online:
            online.execute(
                f"UPDATE {table} SET value = (SELECT other.value FROM {table} AS other "
                f"WHERE other.entity_key = {table}.entity_key AND other.feature_name = 'calls_91d') "
                "WHERE feature_name = 'calls_28d'"
            )
            online.commit()
        return audit(Home(settings), sample=1000, seed=3)


def of(found: Audit, feature: str) -> list[Any]:
    return [one for one in found.store.differences if one.feature == feature]


@pytest.mark.slow
def test_a_window_into_the_future_is_found(leaking: Audit) -> None:
    differences = of(leaking, "calls_7d")
    assert {one.cutoff for one in differences} == set(CUTOFFS)
    assert all(one.rebuilt == 0 and one.stored == one.historical for one in differences)
    assert {leaking.store.cause(one) for one in differences} == {Cause.FUTURE}
    assert leaking.store.moving["calls_7d"] > len(ACCOUNTS)


@pytest.mark.slow
def test_a_subscription_event_known_late_is_found(leaking: Audit) -> None:
    (price,) = (one for one in of(leaking, "mrr") if one.account_id == UPGRADER)
    assert (price.cutoff, leaking.store.cause(price)) == (CLOSED, Cause.FUTURE)
    assert (price.stored, price.rebuilt, price.historical) == (99.0, 30.0, 99.0)
    (plan,) = (one for one in of(leaking, "plan") if one.account_id == UPGRADER)
    assert (plan.stored, plan.rebuilt) == ("pro", "basic")


@pytest.mark.slow
def test_an_account_known_late_is_found(leaking: Audit) -> None:
    (row,) = of(leaking, ROW)
    assert (row.account_id, row.cutoff) == (SIGNED_UP, CLOSED)
    assert (row.stored, row.rebuilt, row.historical) == ("there", "missing", "there")


@pytest.mark.slow
def test_a_definition_changed_without_a_version_is_found(leaking: Audit) -> None:
    differences = of(leaking, "error_rate_28d")
    assert {leaking.store.cause(one) for one in differences} == {Cause.MEANING}
    assert "error_rate_28d" not in leaking.store.moving
    assert {one.cutoff for one in differences} == set(CUTOFFS)
    assert all(one.rebuilt == one.exchanged == pytest.approx(100 * one.stored) for one in differences)


@pytest.mark.slow
def test_online_values_that_are_not_the_offline_ones_are_found(leaking: Audit) -> None:
    online = leaking.store.online
    assert (online.cutoff, online.accounts) == (NEWEST, len(ACCOUNTS) + 1)
    assert {one.feature for one in online.differences} == {"calls_28d"}
    assert all(one.offline < one.online for one in online.differences)


@pytest.mark.slow
def test_a_column_written_after_the_fact_is_found_where_no_time_tells(leaking: Audit) -> None:
    churn, upsell = leaking.labels
    assert [(one.feature, one.roc_auc) for one in churn.alarms] == [("days_to_term_end", 1.0)]
    assert (churn.rows, churn.positives) == (len(ACCOUNTS), len(LEAVERS))
    assert not any(one.is_rebuilt_otherwise for one in of(leaking, "days_to_term_end"))
    # Statuses read the states that leak, too: under them the upgrader is on the top plan already.
    assert "0 accounts upgraded and 28 did not: too few" in str(upsell.skipped)


@pytest.mark.slow
def test_nothing_else_is_found(leaking: Audit) -> None:
    everywhere = {"calls_7d", "error_rate_28d"}
    others = {(one.account_id, one.cutoff) for one in leaking.store.differences if one.feature not in everywhere}
    # In another future somebody else gets the late upgrade, and somebody the late sign-up.
    heirs = others - {(UPGRADER, CLOSED), (SIGNED_UP, CLOSED)}
    assert (len(heirs), {cutoff for _, cutoff in heirs}) == (2, {CLOSED})


@pytest.mark.slow
def test_what_is_found_is_said_with_every_value_and_what_to_do(leaking: Audit) -> None:
    found = {row["check"]: row["found"] for row in summary_rows(leaking)}
    assert found["rebuilt from the past alone"] > len(ACCOUNTS)
    assert found["rebuilt with another future"] == len(leaking.store.moving) > 1
    assert (found["given to training"], found["online"], found["tells churn alone"]) == (0, 1, 1)
    said = dict(sections(leaking))
    everybody, future, meaning, online, label = said
    assert "Changed by another future, of everybody at these cutoffs: " in everybody
    assert "change with what came after the cutoff" in future
    assert "error_rate_28d" in meaning
    assert "Run `bellwether features materialize`" in online
    assert "ROC-AUC 0.95 or more" in label
    shown = [
        [row[name] for name in ("account", "cutoff", "feature", "stored", "rebuilt", "Feast's")] for row in said[future]
    ]
    assert ["a20", "2026-03-02", "mrr", "99", "30", "99"] in shown
    rows = finding_rows(leaking)
    assert len(rows) == len(leaking.store.differences) + len(leaking.store.online.differences) + 1
    assert len({tuple(row) for row in rows}) == 1


@pytest.mark.slow
def test_the_command_leaves_with_one_when_something_is_found(leaking: Audit, tmp_path, monkeypatch) -> None:
    (tmp_path / "features").mkdir()
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(audits, "audit", lambda *_, **__: leaking)
    ended = CliRunner().invoke(main, ["features", "audit"], obj=Home(settings))
    assert ended.exit_code == 1
    assert "a20" in ended.stdout
    as_json = CliRunner().invoke(main, ["features", "audit", "--format", "json"], obj=Home(settings))
    assert len(json.loads(as_json.stdout)) == len(finding_rows(leaking))


def test_the_command_says_how_it_is_used() -> None:
    shown = CliRunner().invoke(main, ["features", "audit", "--help"], obj=Home(Settings()))
    assert "bellwether features audit --sample 5000 --seed 1" in shown.output


def test_a_sample_of_nothing_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"A sample has at least one \(account, cutoff\) pair, not 0"):
        audit_store(Home(Settings(home=tmp_path)), sample=0, seed=1)
    assert (
        CliRunner().invoke(main, ["features", "audit", "--sample", "0"], obj=Home(Settings(home=tmp_path))).exit_code
        == 2
    )


def test_a_home_without_features_is_refused_and_not_made(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nothing to audit. Run `bellwether features build` first"):
        audit_store(Home(Settings(home=tmp_path / "home")), sample=1, seed=1)
    assert not (tmp_path / "home").exists()


def test_a_home_that_is_written_to_is_refused(tmp_path) -> None:
    write_feature_files(tmp_path, {"2026-06-29": ["a"]})
    with (
        exclusive_lock(tmp_path / "features"),
        pytest.raises(LockHeldError, match=r"Another process is writing to .*features"),
    ):
        audit_store(Home(Settings(home=tmp_path)), sample=1, seed=1)


def test_two_audits_at_once_are_refused(tmp_path) -> None:
    write_feature_files(tmp_path, {"2026-06-29": ["a"]})
    with exclusive_lock(tmp_path / "audit"), pytest.raises(LockHeldError, match="audit"):
        audit_store(Home(Settings(home=tmp_path)), sample=1, seed=1)


def test_a_home_without_a_registry_is_told_to_apply(tmp_path) -> None:
    write_feature_files(tmp_path, {"2026-06-29": ["a"]})
    with pytest.raises(DependencyError, match="Run `bellwether features apply`"):
        audit_store(Home(Settings(home=tmp_path)), sample=1, seed=1)


def test_an_unknown_target_is_refused_before_the_work(tmp_path) -> None:
    with pytest.raises(InputError, match="no target 'weather'"):
        audit(Home(Settings(home=tmp_path)), sample=1, seed=1, target_names=["weather"])


@pytest.mark.slow
def test_nothing_is_found_on_the_simulated_world_and_the_command_leaves_with_zero(world: World, monkeypatch) -> None:
    found: list[Audit] = []
    monkeypatch.setattr(audits, "audit", lambda *given, **named: found.append(audit(*given, **named)) or found[0])
    ended = CliRunner().invoke(main, ["features", "audit", "--sample", "25"], obj=world.home)
    assert ended.exit_code == 0, ended.output
    assert "25 (account, cutoff) pairs, drawn with seed 7: " in ended.stdout
    store = found[0].store
    assert (store.moving, store.differences, store.online.differences) == ({}, (), ())
    assert (store.pairs, store.online.accounts) == (25, 25)
    assert sum(store.exchanged_rows.values()) > 10_000
    assert [(one.target, one.alarms, one.skipped) for one in found[0].labels] == [
        ("churn", (), None),
        ("upsell", (), None),
    ]
    assert not (world.settings.home / "audit" / "scratch").exists()
