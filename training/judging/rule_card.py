"""Describes a rule that answers like a model on one page of Markdown, for whoever has to decide whether to use it."""

from pathlib import Path

from features.templates import template
from features.windows import days_ahead
from training.judging.judge import Judgement
from training.judging.model_card import rows_in_words
from training.judging.rule_judge import JudgedRule
from training.labels.dataset import Dataset
from training.models.bands import bands_in_words
from training.models.bundle import Bundle

__all__ = ["rule_card"]


def rule_card(dataset: Dataset, judged: Judgement, best: JudgedRule, bundle: Bundle) -> str:
    """The rule in one page of Markdown."""
    return template(Path(__file__).with_name("rule_card.md.j2")).render(
        target=dataset.target,
        window=days_ahead(lead_days=bundle.lead_days, horizon_days=bundle.horizon_days),
        rows_in_words=rows_in_words(judged),
        rule=best.final.rule,
        calibration=best.final.calibration,
        bundle=bundle,
        bands=bands_in_words(bundle.bands, bundle.band_rates, happened=dataset.target.happened),
    )
