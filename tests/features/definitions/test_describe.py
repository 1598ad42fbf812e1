"""The catalogue for people has every feature, in order, in one line each."""

from features.definitions.catalog import CATALOG
from features.definitions.describe import described, markdown


def test_each_feature_has_a_row_of_texts() -> None:
    rows = described()
    assert [row["feature"] for row in rows] == [feature.name for feature in CATALOG]
    assert all(isinstance(cell, str) and cell for row in rows for cell in row.values())


def test_a_row_says_window_direction_and_family_in_words() -> None:
    row = next(row for row in described() if row["feature"] == "calls_drop_from_peak_91d")
    assert (row["window"], row["churn"], row["upsell"], row["family"]) == ("91 days", "↑!", "·", "Trend of use")


def test_the_markdown_table_is_rectangular() -> None:
    lines = markdown().splitlines()
    assert len(lines) == 2 + len(CATALOG)
    assert len({line.count("|") for line in lines}) == 1
