"""Row counts: groups that differ, accounts that were lost, repeated or doubled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from features.home.home import Home
from features.quality.rows import look_at_rows
from features.quality.section import Section, inspection_of
from features.settings.fields import Settings
from features.windows import utc

BEFORE, DAY = "2026-06-01", "2026-06-08"
Write = Callable[..., None]


def looked(home: Path) -> Section:
    return look_at_rows(inspection_of(Home(Settings(home=home)), as_of=None, now=utc(2026, 6, 8, 12)))


def test_a_company_that_grows_has_no_findings(tmp_path: Path, write_features: Write) -> None:
    write_features(tmp_path, {BEFORE: ["a", "b"], DAY: ["a", "b", "c", "d"]})
    section = looked(tmp_path)
    assert section.findings == ()
    assert [(row["group"], row["rows"], row["rows before"]) for row in section.rows[:2]] == [
        ("usage", 4, 2),
        ("errors", 4, 2),
    ]


@pytest.mark.parametrize(
    ("accounts", "groups", "said", "is_remark"),
    [
        ({DAY: ["a", "b"]}, ("usage",), "1 of 3 accounts lack usage: c.", False),
        ({DAY: ["a", "b", "b"]}, ("errors",), "1 account has more than one row in errors: b.", False),
        ({DAY: ["b", "c"]}, None, "1 of the 3 accounts of 2026-06-01 have no row any more: a.", False),
        ({DAY: []}, None, "There is not one account.", False),
        (
            {BEFORE: [f"a{place}" for place in range(50)], DAY: [f"a{place}" for place in range(100)]},
            None,
            "There are 100 accounts, and were 50 at 2026-06-01.",
            True,
        ),
    ],
    ids=["lacking", "repeated", "lost", "none", "doubled"],
)
def test_each_planted_fault_is_told(
    tmp_path: Path,
    write_features: Write,
    accounts: Mapping[str, Sequence[str]],
    groups: Sequence[str] | None,
    said: str,
    is_remark: bool,
) -> None:
    write_features(tmp_path, {BEFORE: ["a", "b", "c"], DAY: ["a", "b", "c"]})
    write_features(tmp_path, accounts, **({} if groups is None else {"groups": groups}))
    found = {finding.what: finding for finding in looked(tmp_path).findings}
    assert any(what.startswith(said) for what in found), found
    (finding,) = (finding for what, finding in found.items() if what.startswith(said))
    assert finding.is_remark is is_remark
    assert finding.remedy
