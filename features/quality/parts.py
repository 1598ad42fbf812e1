"""The list of the parts of the quality report that need no model, in their order."""

from features.quality.freshness import look_at_freshness
from features.quality.late_calls import look_at_lateness
from features.quality.left_out import look_at_values_left_out
from features.quality.matching import look_at_matching
from features.quality.refused import look_at_quarantine
from features.quality.rows import look_at_rows
from features.quality.section import Part
from features.quality.values import look_at_values

__all__ = ["DATA_PARTS"]


DATA_PARTS: tuple[Part, ...] = (
    Part("freshness", "Freshness by source", look_at_freshness),
    Part("lateness", "Late events", look_at_lateness),
    Part("quarantine", "Quarantine", look_at_quarantine),
    Part("left_out", "Values left out", look_at_values_left_out),
    Part("matching", "Accounts of the tables", look_at_matching),
    Part("rows", "Row counts", look_at_rows),
    Part("values", "Nulls and ranges", look_at_values),
)
