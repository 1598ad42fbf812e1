"""What is looked at: the newest cutoff or the one asked for, and words where there is nothing to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from features.exceptions import InputError
from features.home.home import Home
from features.quality.section import Inspection, Part, Section, inspection_of, look_at
from features.settings.fields import Settings
from features.windows import utc

NOW = utc(2026, 6, 20)
WEEKS = tuple(f"2026-{month:02}-{day:02}" for month, day in [(4, 6), (4, 13), (4, 20), (4, 27), (5, 4), (5, 11)])
LATER = ("2026-05-18", "2026-05-25", "2026-06-01", "2026-06-08")


@pytest.fixture
def settings(tmp_path: Path, write_features: Callable[..., None]) -> Settings:
    write_features(tmp_path, dict.fromkeys((*WEEKS, *LATER), ("a",)))
    return Settings(home=tmp_path)


def test_the_newest_cutoff_is_measured_against_the_clock_and_eight_before_it(settings: Settings) -> None:
    found = inspection_of(Home(settings), as_of=None, now=NOW)
    assert (found.cutoff, found.measured_at, found.is_past) == (utc(2026, 6, 8), NOW, False)
    assert [f"{cutoff:%Y-%m-%d}" for cutoff in found.before] == [*WEEKS[1:], *LATER[:3]]


def test_a_cutoff_asked_for_is_measured_when_it_closed(settings: Settings) -> None:
    found = inspection_of(Home(settings), as_of=utc(2026, 4, 13), now=NOW)
    assert (found.measured_at, found.is_past) == (utc(2026, 4, 13, 6), True)
    assert found.before == (utc(2026, 4, 6),)


def test_without_features_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No features are built.*Run `bellwether features build` first"):
        inspection_of(Home(Settings(home=tmp_path)), as_of=None, now=NOW)


def test_a_cutoff_that_is_not_built_is_told_with_those_that_are(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"2026-06-09 is not built. Built, newest first: 2026-06-08, .* and 5 more"):
        inspection_of(Home(settings), as_of=utc(2026, 6, 9), now=NOW)


def test_cutoffs_of_other_settings_are_named(settings: Settings) -> None:
    changed = settings.model_copy(update={"slow_call_ms": 1.0})
    with pytest.raises(InputError, match="10 cutoffs were built under other settings"):
        inspection_of(Home(changed), as_of=None, now=NOW)


def test_a_part_that_cannot_be_looked_at_is_a_finding(settings: Settings) -> None:
    def look(_: Inspection) -> Section:
        raise FileNotFoundError(2, "No such file or directory", "usage.parquet")

    section = look_at(Part("rows", "Row counts", look), inspection_of(Home(settings), as_of=None, now=NOW))
    (finding,) = section.findings
    assert "This could not be looked at" in finding.what
    assert "usage.parquet" in finding.what
    assert not finding.is_remark
