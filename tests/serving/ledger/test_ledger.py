from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.exceptions import DependencyError
from features.home.home import Home
from features.settings.load import load_settings
from features.windows import DAY, utc
from serving.ledger.ledger import Ledger, open_ledger
from serving.ledger.runs import ScoredAccount, TargetRun, run_id
from serving.ledger.tables import SORTS
from serving.scoring.freshness import Status
from serving.scoring.reasons import Reason

AS_OF = utc(2026, 6, 29)


def account(name: str, probability: float | None, mrr: float | None, *reasons: Reason, **more: str) -> ScoredAccount:
    band = None if probability is None else "high" if probability > 0.5 else "low"
    status = Status.SCORED if probability is not None else Status.NOT_APPLICABLE
    at_risk = None if mrr is None or probability is None else mrr * probability
    return ScoredAccount(name, status, None, probability, band, 0.1, -1.0, mrr, at_risk, reasons=reasons, **more)


def reason(text: str, contribution: float) -> Reason:
    direction = "raises" if contribution > 0 else "lowers"
    names, values, parts = ("calls_7d",), (3,), (contribution,)
    return Reason("usage_level", contribution, direction, True, text, names, values, parts)


def run(*accounts: ScoredAccount, day: int = 0, version: str = "1", hour: int = 0) -> TargetRun:
    as_of = AS_OF + day * DAY
    key = run_id(as_of=as_of, target="churn", model="m", version=version, bundle_sha256="a", fingerprint="f")
    return TargetRun(key, "churn", as_of, as_of + timedelta(hours=hour), "m", version, "a", "f", 30, 7, accounts)


FIVE = (
    account("a", 0.9, 10.0, reason("Lowers.", -0.9), reason("Raises.", 0.5), owner="sam", segment="large"),
    account("b", 0.2, 1000.0, owner="kim", segment="large"),
    account("c", 0.9, None, owner="sam", segment="small"),
    account("d", None, 50.0, owner="sam"),
    account("e", 0.1, 90.0, owner="kim"),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(Home(load_settings(home=tmp_path)))
    yield opened
    opened.close()


def ids(ledger: Ledger, key: str, **query: object) -> list[str]:
    return [row.account_id for row in ledger.page(key, **{"sort": "mrr_at_risk", "limit": 10, **query})]


def test_the_same_run_twice_writes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.append(run(*FIVE)) is True
    before = _rows(tmp_path)
    assert ledger.append(run(account("z", 0.5, 1.0))) is False
    assert _rows(tmp_path) == before == {"score_runs": 1, "scores": 5, "reasons": 2}


def _rows(home: Path, *tables: str) -> dict[str, int]:
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables or ("score_runs", "scores", "reasons")
        }


def test_a_run_that_fails_half_way_leaves_nothing(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"ledger\.db contradicts itself"):
        ledger.append(run(*FIVE, FIVE[0]))
    assert _rows(tmp_path) == {"score_runs": 0, "scores": 0, "reasons": 0}


@pytest.mark.parametrize(("sort", "expected"), [("mrr_at_risk", "baec"), ("probability", "acbe"), ("mrr", "beac")])
def test_accounts_come_the_largest_first_and_only_those_with_a_score(ledger: Ledger, sort: str, expected: str) -> None:
    ledger.append(run(*FIVE))
    assert "".join(ids(ledger, run().run_id, sort=sort)) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [({"band": "high"}, "ac"), ({"owner": "kim"}, "be"), ({"segment": "large"}, "ba"), ({"owner": "nobody"}, "")],
)
def test_filters(ledger: Ledger, filters: dict[str, str], expected: str) -> None:
    ledger.append(run(*FIVE))
    assert "".join(ids(ledger, run().run_id, **filters)) == expected


def test_the_reason_of_a_list_raises_when_one_does(ledger: Ledger) -> None:
    ledger.append(run(*FIVE))
    rows = {row.account_id: row.reason for row in ledger.page(run().run_id, sort="mrr", limit=10)}
    assert rows == {"a": "Raises.", "b": None, "c": None, "e": None}
    assert FIVE[0].top_reason == "Raises."


def test_runs_of_a_time_that_has_not_come_are_forgotten_with_all_that_belongs_to_them(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.append(run(*FIVE))
    ledger.append(run(*FIVE, version="2", hour=1))
    now = {"as_of": AS_OF + DAY, "scored_at": AS_OF + DAY}
    assert ledger.later_than(**now) == []
    before = _rows(tmp_path, "score_runs", "scores", "reasons", "run_confirmed")
    ledger.append(run(*FIVE, day=300))  # of a later day
    ledger.append(run(*FIVE, version="3", hour=7200))  # of this day, made later
    ledger.append(run(*FIVE, hour=7300))  # nothing new: the first is confirmed, later
    assert sorted(head.version for head in ledger.later_than(**now)) == ["1", "1", "3"]
    ledger.forget_later_than(**now)
    assert ledger.later_than(**now) == []
    assert _rows(tmp_path, "score_runs", "scores", "reasons", "run_confirmed") == before
    latest = ledger.latest("churn")
    assert latest is not None
    assert latest.version == "2"


def test_the_latest_run_has_the_newest_as_of(ledger: Ledger) -> None:
    assert ledger.latest("churn") is None
    ledger.append(run(FIVE[0], day=1))
    ledger.append(run(FIVE[0], day=0))
    latest = ledger.latest("churn")
    assert latest is not None
    assert latest.as_of == AS_OF + DAY
    assert ledger.run(latest.run_id) == latest
    assert ledger.run("none") is None


def test_a_model_that_is_champion_again_has_the_latest_run_again(ledger: Ledger, tmp_path: Path) -> None:
    first, second = run(*FIVE, version="1", hour=1), run(*FIVE, version="2", hour=2)
    back, forth = run(*FIVE, version="1", hour=3), run(*FIVE, version="2", hour=5)
    for made, version, confirmed in (
        (first, "1", 0),
        (second, "2", 0),
        (second, "2", 0),
        (back, "1", 1),
        (run(*FIVE, version="1", hour=4), "1", 1),
        (forth, "2", 2),
        (run(*FIVE, version="2", hour=6), "2", 2),
        (run(FIVE[0], day=-1, version="3", hour=50), "2", 2),
    ):
        ledger.append(made)
        for found in (ledger.latest("churn"), ledger.before("churn", AS_OF + DAY)):
            assert found is not None
            assert found.version == version
            assert found.scored_at == {"1": first, "2": second}[version].scored_at
        assert _rows(tmp_path, "run_confirmed") == {"run_confirmed": confirmed}


@given(
    numbers=st.lists(st.sampled_from([None, 0.0, 1.0, 2.5, 1000.0]), min_size=1, max_size=12),
    limit=st.integers(1, 5),
    sort=st.sampled_from(sorted(SORTS)),
)
def test_pages_hold_every_account_once(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float | None], limit: int, sort: str
) -> None:
    ledger = open_ledger(Home(load_settings(home=tmp_path_factory.mktemp("pages"))))
    accounts = [account(f"a{place}", 0.5, number) for place, number in enumerate(numbers)]
    ledger.append(run(*accounts))
    seen: list[str] = []
    after = None
    while page := ledger.page(run().run_id, sort=sort, limit=limit, after=after):
        seen += [row.account_id for row in page]
        after = page[-1].sort_value, page[-1].account_id
    whole = [row.account_id for row in ledger.page(run().run_id, sort=sort, limit=100)]
    ledger.close()
    assert seen == whole
    assert sorted(seen) == sorted(one.account_id for one in accounts)


def test_a_ledger_of_another_version_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.create()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("UPDATE ledger_version SET version = 99")
        connection.commit()
    again = open_ledger(Home(load_settings(home=tmp_path)))
    with pytest.raises(DependencyError, match="has schema version 99, not 3"):
        again.latest("churn")
    again.close()


def test_another_database_in_its_place_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("CREATE TABLE experiments (name TEXT)")
    other = open_ledger(Home(load_settings(home=tmp_path)))
    with pytest.raises(DependencyError, match=r"ledger\.db is no ledger: it holds experiments\. Restore"):
        other.append(run(*FIVE))
    other.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("experiments",)]


def test_a_ledger_of_version_1_is_brought_to_this_one(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(run(*FIVE))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("ALTER TABLE scores DROP COLUMN offer")
        connection.execute("ALTER TABLE score_runs DROP COLUMN rule")
        connection.execute("UPDATE ledger_version SET version = 1")
        connection.commit()
    again = open_ledger(Home(load_settings(home=tmp_path)))
    head = again.latest("churn")
    assert head is not None
    assert head.rule is None
    assert [row.offer for row in again.page(run().run_id, sort="mrr", limit=10)] == [None] * 4
    assert again.append(run(FIVE[0], day=1)) is True
    again.close()


def test_a_ledger_of_version_1_that_cannot_be_written_is_read_as_it_is(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(run(*FIVE))
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("ALTER TABLE scores DROP COLUMN offer")
        connection.execute("DROP TABLE run_confirmed")
        connection.execute("UPDATE ledger_version SET version = 1")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = (tmp_path / "ledger.db").read_bytes()
    monkeypatch.setattr("serving.ledger.ledger.is_read_only", lambda _: True)
    sealed = open_ledger(Home(load_settings(home=tmp_path)))
    latest = sealed.latest("churn")
    assert latest is not None
    assert latest.run_id == run().run_id
    assert [row.offer for row in sealed.page(run().run_id, sort="mrr", limit=10)] == [None] * 4
    assert sealed.append(run(FIVE[0], day=1)) is False
    sealed.close()
    assert (tmp_path / "ledger.db").read_bytes() == before


@pytest.mark.parametrize("is_half_done", [False, True])
def test_an_upgrade_is_whole_or_not_there(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_half_done: bool
) -> None:
    ledger.append(run(*FIVE))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        if not is_half_done:  # as an earlier Bellwether that was killed left it: the column, and the old version
            connection.execute("ALTER TABLE scores DROP COLUMN offer")
        connection.execute("UPDATE ledger_version SET version = 1")
        connection.commit()
    again = open_ledger(Home(load_settings(home=tmp_path)))
    with monkeypatch.context() as patch:
        patch.setattr("serving.ledger.tables._VERSION", object())  # writing the new version fails
        with pytest.raises(DependencyError, match="cannot be used"):
            again.latest("churn")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(scores)")]
    assert ("offer" in columns) is is_half_done
    assert again.latest("churn") is not None
    again.close()


def test_a_ledger_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    broken = open_ledger(Home(load_settings(home=tmp_path / "not there")))
    with pytest.raises(DependencyError, match=r"ledger\.db cannot be opened\. Check that its folder is there"):
        broken.latest("churn")
    broken.close()
