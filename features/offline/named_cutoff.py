"""Refuses a cutoff that was named and cannot be there, from what the manifest lists; reads no more than that."""

from datetime import datetime

from features.choices import require_come
from features.dates import as_cutoff
from features.exceptions import InputError, listed
from features.home.home import Home

__all__ = ["require_listed"]


def require_listed(home: Home, as_of: datetime | None, *, now: datetime) -> None:
    """Go on only when something is built, of the named cutoff if one was named.

    Whether its rows are whole and still mean what the settings say is looked at by who reads them.

    Raises
    ------
    InputError
        When the cutoff has not come or is not built, or nothing is.
    WorkFailedError
        When the manifest is damaged.
    """
    require_come(as_of, option="--as-of", now=now)
    partitions = home.stores.features.manifest().partitions
    listed_cutoffs = {as_cutoff(name.partition("/cutoff=")[2]) for name in partitions}
    if not listed_cutoffs:
        raise InputError("No cutoff is built yet. Run `bellwether features build` first.")
    if as_of is not None and as_of not in listed_cutoffs:
        days = listed(f"{cutoff:%Y-%m-%d}" for cutoff in sorted(listed_cutoffs, reverse=True))
        raise InputError(
            f"The cutoff {as_of:%Y-%m-%d} is not built. Built, newest first: {days}. "
            f"Run `bellwether features build --from {as_of:%Y-%m-%d} --to {as_of:%Y-%m-%d}` for it."
        )
