"""The feature catalogue as rows for people: the ``features describe`` command and the table of ``features/README.md``."""

from features.definitions.catalog import BUILT_IN, Catalog
from features.definitions.feature import FeatureSpec, Risk

__all__ = ["described", "markdown"]


_ARROWS = {Risk.UP: "↑", Risk.DOWN: "↓", Risk.CERTAIN_UP: "↑!", Risk.CERTAIN_DOWN: "↓!", Risk.DEPENDS: "·"}


def described(catalog: Catalog = BUILT_IN) -> list[dict[str, str]]:
    """One row per feature, in catalogue order; every value a text.

    ``churn`` and ``upsell`` say what more of the feature does to the probability: ↑ raises, ↓ lowers, ! certain
    (a constraint of the model), · depends.
    """
    return [_row(feature, catalog.families[feature.family].title) for feature in catalog.features]


def markdown(rows: list[dict[str, str]] | None = None) -> str:
    """The feature catalogue as a Markdown table.

    >>> print(markdown([{"feature": "calls_7d", "unit": "calls"}]))
    | feature | unit |
    |---|---|
    | calls_7d | calls |
    """
    rows = described() if rows is None else rows
    head = list(rows[0])
    return "\n".join([_line(head), "|" + "---|" * len(head), *(_line(list(row.values())) for row in rows)])


def _row(feature: FeatureSpec, family: str) -> dict[str, str]:
    return {
        "feature": feature.name,
        "group": feature.group,
        "family": family,
        "window": "state" if feature.window_days is None else f"{feature.window_days} days",
        "unit": feature.unit,
        "null": feature.null_rule,
        "churn": _ARROWS[feature.churn],
        "upsell": _ARROWS[feature.upsell],
        "meaning": feature.meaning,
    }


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
