"""Runs of earlier versions keep their codes; they are read as the names of families."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.definitions.catalog import FAMILIES
from features.home.home import Home
from features.paths import sqlite_url
from features.settings.load import load_settings
from serving.ledger import old_codes
from serving.ledger.ledger import open_ledger
from serving.ledger.old_codes import code_of
from serving.ledger.tables import REASONS
from tests.serving.ledger.test_ledger import account, reason, run

OLD = {
    "usage_low": "usage_level",
    "usage_growing": "usage_trend",
    "recently_active": "silence",
    "rhythm_usual": "rhythm",
    "people_engaged": "people",
    "errors_low": "errors",
    "auth_errors_high": "auth_errors",
    "throttling_raises": "throttling",
    "latency_high": "latency",
    "broad_use": "breadth",
    "value_endpoint_missed": "value_endpoint",
    "contract_lowers": "contract",
    "spend_raises": "spend",
    "quota_lowers": "quota",
    "onboarding_done": "onboarding",
    "sdk_drop_off": "sdk",
    "support_raises": "support",
}


def test_the_examples_hold() -> None:
    assert doctest.testmod(old_codes).failed == 0


@pytest.mark.parametrize(("old", "family"), OLD.items())
def test_an_old_code_is_read_as_its_family(old: str, family: str) -> None:
    assert code_of(old) == family


def test_every_family_has_an_old_code_and_is_read_as_itself() -> None:
    assert set(OLD.values()) == set(FAMILIES)
    assert all(code_of(name) == name for name in FAMILIES)


def test_a_ledger_of_before_is_read(tmp_path: Path) -> None:
    ledger = open_ledger(Home(load_settings(home=tmp_path)))
    ledger.append(run(account("a", 0.9, 10.0, reason("Calls fell.", 0.5))))
    with sa.create_engine(sqlite_url(ledger.file)).begin() as connection:
        connection.execute(sa.update(REASONS).values(code="usage_falling"))
        codes = connection.execute(sa.select(REASONS.c.code)).scalars().all()
    assert {code_of(code) for code in codes} == {"usage_trend"}
    ledger.close()
