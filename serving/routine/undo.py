"""Takes back what a night has ingested, when it then finds out that it should not have."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from features.home.home import Home
from features.ingest.inbox import TakenFiles

__all__ = ["kept_as_is"]


_STORES = ("raw", "events", "quarantine")  # in the reverse of the order in which an ingest publishes


@contextmanager
def kept_as_is(home: Home) -> Iterator[Callable[[TakenFiles, Sequence[str]], None]]:
    """Hold on to the raw stores as they are, inside the block: what it gives makes them so again.

    The files of the inbox are taken for new again first: a night that is killed in between reads them once more, which
    changes nothing.
    """
    with home.snapshot() as before:
        manifests = {name: before.stores.named(name).manifest() for name in _STORES}

        def undo(taken: TakenFiles, names: Sequence[str]) -> None:
            taken.forget(names)
            for name, manifest in manifests.items():
                store = home.stores.named(name)
                if store.manifest() != manifest:
                    with store.writer() as writer:
                        writer.restore(manifest)
            taken.forget(())  # as the stores are again

        yield undo
