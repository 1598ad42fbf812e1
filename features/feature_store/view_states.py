"""What Feast's registry says of a feature view: whether it is declared, being filled, and until when it was filled."""

from dataclasses import dataclass
from datetime import UTC, datetime

from features.feature_store.fast_import import without_type_checks

with without_type_checks():
    from feast import FeatureView
    from feast.feature_view import FeatureViewState

__all__ = ["ViewState", "view_state"]


@dataclass(frozen=True)
class ViewState:
    """One view of the catalogue, as the registry has it.

    Attributes
    ----------
    is_filling
        Whether a materialization began and, as far as the registry knows, did not end.
    until
        The cutoff it was last filled to; None before the first time.
    """

    group: str
    is_registered: bool
    is_filling: bool
    until: datetime | None


def view_state(group: str, view: FeatureView | None) -> ViewState:
    """The state of a group's view; ``view`` is None where the registry has none."""
    if view is None:
        return ViewState(group, is_registered=False, is_filling=False, until=None)
    until = view.most_recent_end_time and view.most_recent_end_time.astimezone(UTC)
    return ViewState(group, is_registered=True, is_filling=view.state == FeatureViewState.MATERIALIZING, until=until)
