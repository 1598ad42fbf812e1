"""Describes a model on one page of Markdown, for whoever has to decide whether to use it."""

from pathlib import Path

import numpy as np

from features.definitions.catalog import Catalog
from features.definitions.sets import catalog_with, set_of
from features.shares import percent
from features.templates import template
from features.windows import days_ahead
from training.judging.judge import Judgement, distinct_events
from training.labels.dataset import Dataset
from training.labels.left_out import IN_LEAD, in_words
from training.models.bands import bands_in_words
from training.models.bundle import Bundle
from training.models.explain import by_family, explain
from training.models.fitted import Fitted

__all__ = ["model_card", "rows_in_words"]


def model_card(dataset: Dataset, judged: Judgement, final: Fitted, bundle: Bundle) -> str:
    """The model in one page of Markdown (after Mitchell et al., 2019, FAT*)."""
    catalog = catalog_with(set_of(bundle.declared))
    shares = _family_shares(judged, catalog)
    return template(Path(__file__).with_name("model_card.md.j2")).render(
        target=dataset.target,
        window=days_ahead(lead_days=bundle.lead_days, horizon_days=bundle.horizon_days),
        left_out=[
            in_words(reason, count, target=dataset.target.name)
            for reason, count in {IN_LEAD: int(dataset.frame["in_lead"].sum()), **dataset.left_out}.items()
            if count
        ],
        excluded=dataset.excluded,
        judged=judged,
        rows_in_words=rows_in_words(judged),
        families=[(catalog.families[name].title, share) for name, share in shares.items()],
        final=final,
        bundle=bundle,
        bands=bands_in_words(bundle.bands, bundle.band_rates, happened=dataset.target.happened),
        percent=percent,
    )


def rows_in_words(judged: Judgement) -> str:
    """The judged cutoffs and what lies in them, in one line."""
    rows = judged.rows
    first, last = judged.judged_cutoffs[0], judged.judged_cutoffs[-1]
    return (
        f"Judged cutoffs {first:%Y-%m-%d} to {last:%Y-%m-%d}: {len(rows):,} rows, "
        f"{rows['account_id'].nunique():,} accounts, {distinct_events(rows):,} events"
    )


def _family_shares(judged: Judgement, catalog: Catalog) -> dict[str, float]:
    model = judged.model
    explained = explain(model, model.booster, model.encoding.matrix(judged.newest), judged.newest)
    names, sums = by_family(explained.columns, explained.contributions, catalog)
    sizes = dict(zip(names, np.abs(sums).mean(axis=0).tolist(), strict=True))
    total = sum(sizes.values()) or 1.0
    return {name: size / total for name, size in sorted(sizes.items(), key=lambda item: -item[1])}
