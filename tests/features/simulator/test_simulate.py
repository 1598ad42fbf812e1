"""The simulated company: reproducible, whole, awkward where real logs are, and true to its own hazard."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.exceptions import InputError
from features.schema import ACCOUNTS, EVENTS, TOUCHPOINTS
from features.simulator import SimulationReport, simulate
from features.simulator.company import NEVER, Company, found_company, slot_share
from features.simulator.hazard import departure_hazard, departure_risk, upgrade_hazard
from features.simulator.lives import Lives, live
from features.simulator.names import hexadecimal, mixed
from features.simulator.tables import SUBSCRIPTION_FILE
from features.simulator.truth import TRUTH_SCHEMA
from features.windows import utc

END = utc(2026, 6, 29)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SimulationReport:
    return simulate(tmp_path_factory.mktemp("small"), accounts=40, days=30, calls_per_day=8.0, seed=3, end=END)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def events_of(report: SimulationReport) -> dict[str, np.ndarray]:
    table = pq.read_table(report.events_path, partitioning=None)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def a_world(accounts: int, days: int, seed: int) -> tuple[Company, Lives]:
    first, second = np.random.SeedSequence(seed).spawn(2)
    company = found_company(accounts, days, np.random.default_rng(first))
    return company, live(company, days, np.random.default_rng(second))


# ---- the same arguments, the same bytes


def test_same_seed_and_end_give_the_same_bytes(small, tmp_path):
    again = simulate(tmp_path, accounts=40, days=30, calls_per_day=8.0, seed=3, end=END)
    assert digests(again.folder) == digests(small.folder)


def test_a_run_into_a_used_folder_leaves_no_day_of_the_run_before(tmp_path):
    simulate(tmp_path, accounts=3, days=5, seed=1, end=END)
    simulate(tmp_path, accounts=3, days=2, seed=1, end=END)
    assert [path.name for path in sorted((tmp_path / "events").iterdir())] == [
        "day=2026-06-27.parquet",
        "day=2026-06-28.parquet",
    ]


def test_another_seed_gives_another_company(small, tmp_path):
    other = simulate(tmp_path, accounts=40, days=30, calls_per_day=8.0, seed=4, end=END)
    assert digests(other.folder)["truth.parquet"] != digests(small.folder)["truth.parquet"]


# ---- what is written


def test_files_have_the_schemas_of_the_raw_tables(small):
    for path in small.events_path.iterdir():
        assert pq.read_schema(path).equals(EVENTS.schema)
    assert pq.read_schema(small.accounts_path).equals(ACCOUNTS.schema)
    assert pq.read_schema(small.subscriptions_path).equals(SUBSCRIPTION_FILE)
    assert pq.read_schema(small.touchpoints_path).equals(TOUCHPOINTS.schema)
    assert pq.read_schema(small.truth_path).equals(TRUTH_SCHEMA)


def test_every_event_lies_in_the_day_of_its_file_and_had_arrived_six_hours_after_the_end(small):
    for path in small.events_path.iterdir():
        day = datetime.fromisoformat(path.stem.removeprefix("day=")).replace(tzinfo=UTC)
        table = pq.read_table(path, partitioning=None)
        times, arrivals = table["event_time"].to_pylist(), table["ingested_at"].to_pylist()
        assert all(day <= time < day + timedelta(days=1) for time in times)
        assert all(time <= arrival < END + timedelta(hours=6) for time, arrival in zip(times, arrivals, strict=True))


def test_the_log_has_about_as_many_events_as_asked_for(small):
    assert small.events == pytest.approx(40 * 30 * 8, rel=0.1)


def test_late_repeated_contradicting_and_synthetic_events_are_counted_as_they_are(tmp_path):
    report = simulate(tmp_path, accounts=40, days=20, calls_per_day=60.0, seed=3, end=END)
    table = pq.read_table(report.events_path, partitioning=None).to_pandas()
    same = table.duplicated()
    assert same.sum() == report.duplicates > 0
    assert table[~same].duplicated("event_id").sum() == report.conflicts > 0
    assert table["synthetic"].sum() == report.synthetic > 0
    assert report.late > 0
    assert ((table["ingested_at"] - table["event_time"]).dt.total_seconds() > 86_400).any()


def test_event_ids_differ_between_different_events():
    numbers = np.arange(100_000, dtype=np.uint64)
    assert len(np.unique(mixed(numbers))) == len(np.unique(mixed(numbers, bits=32))) == 100_000
    assert hexadecimal(np.array([1, 2**64 - 1], np.uint64), digits=16).to_pylist() == ["0" * 15 + "1", "f" * 16]


def test_some_accounts_sign_up_and_never_call(tmp_path):
    report = simulate(tmp_path, accounts=300, days=10, calls_per_day=5.0, seed=3, end=END)
    account_ids = pq.read_table(report.accounts_path)["account_id"].to_pylist()
    callers = set(events_of(report)["account_id"])
    assert report.silent_accounts > 0
    assert len(account_ids) == 300
    assert len(set(account_ids) - callers) >= report.silent_accounts


@pytest.mark.slow
def test_accounts_leave_return_renew_announce_and_grow(tmp_path):
    report = simulate(tmp_path, accounts=500, days=240, calls_per_day=0.2, seed=3, end=END)
    subscriptions = pq.read_table(report.subscriptions_path).to_pandas()
    kinds = set(subscriptions["kind"])
    assert kinds == {"start", "renew", "upgrade", "downgrade", "cancel_notice", "cancel", "reactivate"}
    assert report.returned > 0
    assert (subscriptions["known_at"] >= subscriptions["occurred_at"]).all()
    assert subscriptions["quota_calls_per_month"].isna().sum() == (subscriptions["plan"] == "enterprise").sum()
    starts = subscriptions[subscriptions["kind"] == "start"]
    assert sorted(starts["account_id"]) == sorted(pq.read_table(report.accounts_path)["account_id"].to_pylist())


# ---- the truth


def test_true_risk_is_the_product_of_the_daily_hazards_with_the_state_frozen():
    company, lives = a_world(30, 90, seed=5)
    cutoff = 40
    for account in range(30):
        burden = np.array([float(lives.burden[cutoff][account])])
        plan = np.array([int(lives.plan[cutoff][account])])
        annual = np.array([bool(company.is_annual[account])])
        term_end = np.array([int(lives.term_end_day[cutoff][account])])
        stays = 1.0
        for day in range(cutoff + 7, cutoff + 37):
            hazard = departure_hazard(burden, plan, annual, annual & (term_end == day))
            stays *= 1.0 - hazard.item()
        risk = departure_risk(burden, plan, annual, term_end, cutoff=cutoff, lead_days=7, horizon_days=30)
        assert risk.item() == pytest.approx(1.0 - stays, rel=1e-12)


@pytest.mark.parametrize(("term_end", "is_inside"), [(46, False), (47, True), (76, True), (77, False)])
def test_the_end_of_a_term_counts_from_the_first_to_the_last_day_of_the_label_window(term_end, is_inside):
    arguments = {"cutoff": 40, "lead_days": 7, "horizon_days": 30}
    burden, plan, annual = np.array([0.5]), np.array([2]), np.array([True])
    risk = departure_risk(burden, plan, annual, np.array([term_end]), **arguments)
    never = departure_risk(burden, plan, annual, np.array([NEVER]), **arguments)
    assert (risk.item() > never.item()) == is_inside


def test_hazard_rises_with_burden_and_is_a_probability():
    burden = np.linspace(0.0, 1.0, 11)
    plan, no = np.zeros(11, np.int64), np.zeros(11, np.bool_)
    for annual, at_end in ((no, no), (~no, no), (~no, ~no)):
        hazard = departure_hazard(burden, plan, annual, at_end)
        assert (np.diff(hazard) > 0).all()
        assert hazard.min() > 0.0
        assert hazard.max() < 1.0


def test_upgrades_come_near_the_quota_and_never_beyond_the_largest_plan():
    quota_used, burden = np.array([0.3, 1.2, 1.2]), np.zeros(3)
    hazard = upgrade_hazard(quota_used, np.array([1, 1, 4]), burden)
    assert hazard[1] > 20 * hazard[0]
    assert hazard[2] == 0.0


def test_truth_has_one_row_per_account_and_cutoff_while_it_lives(small):
    truth = pq.read_table(small.truth_path).to_pandas()
    assert not truth.duplicated(["account_id", "cutoff"]).any()
    assert truth["alive"].all()
    assert truth["churn_risk"].between(0, 1).all()
    assert truth["cutoff"].min() == utc(2026, 5, 31)
    assert truth["cutoff"].max() == END


def test_slots_share_all_calls():
    shares = slot_share(np.arange(12)[None, :], np.array([[1], [5], [12]]))
    assert shares.sum(axis=1) == pytest.approx([1.0, 1.0, 1.0])
    assert (np.diff(shares[2]) < 0).all()


def gone_for_good(lives: Lives) -> np.ndarray:
    """Departures by day and account that were not taken back within 14 days."""
    subscribed = lives.is_subscribed
    gone = subscribed[:-1] & ~subscribed[1:]
    for day in range(len(gone)):
        gone[day] &= ~subscribed[day + 2 : day + 16].any(axis=0)
    return gone


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_about_three_percent_leave_a_month_early_and_late_in_the_log(seed):
    _, lives = a_world(3000, 300, seed)
    gone, there = gone_for_good(lives)[:280], lives.is_subscribed[:280]
    monthly = 30 * gone.sum() / there.sum()
    early = 30 * gone[60:190].sum() / there[60:190].sum()
    late = 30 * gone[190:].sum() / there[190:].sum()
    assert monthly == pytest.approx(0.03, abs=0.005)
    assert late == pytest.approx(early, rel=0.25)


@pytest.mark.slow
def test_true_risk_is_about_as_large_as_what_happens():
    company, lives = a_world(3000, 300, seed=1)
    gone = gone_for_good(lives)
    expected = happened = 0.0
    for cutoff in range(60, 250, 10):
        there = lives.is_subscribed[cutoff] & (lives.began_day[cutoff] <= cutoff - 28)
        there &= ~gone[cutoff : cutoff + 7].any(axis=0)
        risk = departure_risk(
            lives.burden[cutoff].astype(float),
            lives.plan[cutoff].astype(int),
            company.is_annual,
            lives.term_end_day[cutoff].astype(int),
            cutoff=cutoff,
            lead_days=7,
            horizon_days=30,
        )
        expected += risk[there].sum()
        happened += gone[cutoff + 7 : cutoff + 37].any(axis=0)[there].sum()
    assert 0.8 < expected / happened < 1.15


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accounts": 0}, "at least one account, not 0"),
        ({"days": 0}, "at least one day, not 0"),
        ({"calls_per_day": 0.0}, "must lie above 0"),
        ({"calls_per_day": float("nan")}, "must lie above 0"),
        ({"seed": -1}, "whole number from 0 on"),
        ({"end": datetime(2026, 6, 29)}, "no time zone"),  # noqa: DTZ001
        ({"end": utc(2026, 6, 29, 3)}, "UTC midnight"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        simulate(tmp_path, **{"accounts": 3, "days": 3, "end": END, **arguments})


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(InputError, match=r"cannot be written to .*taken.*Choose a folder"):
        simulate(tmp_path / "taken", accounts=3, days=3, end=END)


@pytest.mark.parametrize(("accounts", "days"), [(1, 1), (1, 3), (3, 1)])
def test_the_smallest_worlds_are_written_whole(tmp_path, accounts, days):
    report = simulate(tmp_path, accounts=accounts, days=days, calls_per_day=5.0, seed=0, end=END)
    assert pq.read_metadata(report.accounts_path).num_rows == accounts
    assert len(list(report.events_path.iterdir())) == days


def test_progress_is_told_day_by_day(tmp_path):
    told: list[tuple[str, int, int]] = []
    simulate(tmp_path, accounts=2, days=3, end=END, progress=lambda *step: told.append(step))
    assert told == [("simulate", 1, 3), ("simulate", 2, 3), ("simulate", 3, 3)]
