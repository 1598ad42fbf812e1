"""What a home lacks before the service can score anybody, and the commands that make it."""

from collections.abc import Iterator

from features.exceptions import BellwetherError
from features.home.home import Home
from training.labels.names import TARGET_NAMES
from training.registry.champions import champion_version

__all__ = ["what_is_missing"]


def what_is_missing(home: Home) -> list[str]:
    """A sentence for each thing that is missing, in the order of making; none where accounts can be scored."""
    missing = [*_data(home), *_champion(home)]
    if not home.feast_online.exists():
        missing.append("Nothing is online: run `bellwether features apply`, then `bellwether features materialize`.")
    return missing


def _data(home: Home) -> Iterator[str]:
    if not home.stores.events.manifest().partitions:
        yield "There are no events: run `bellwether ingest --events FILE --backfill`."
    if not home.stores.features.manifest().partitions:
        yield "No features are built: run `bellwether features build`."


def _champion(home: Home) -> Iterator[str]:
    try:
        has_champion = any(champion_version(home, name) is not None for name in TARGET_NAMES)
    except BellwetherError as error:
        yield str(error)
        return
    if not has_champion:
        yield (
            "No target has a champion, so until one is promoted nobody is scored: run `bellwether train`, then "
            "`bellwether promote`. The service takes it up within seconds, without a restart."
        )
