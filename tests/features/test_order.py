"""The same events give the same features, whatever order, repetition and split of files they came in."""

from datetime import timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.build.build import build
from features.home.home import Home
from features.ingest.ingest import ingest
from features.rollup.count import roll_up
from features.settings.load import load_settings
from features.storage.store import ManifestStore
from features.windows import utc
from tests.shared import linked

CUTOFF = utc(2026, 2, 2)
NOW = CUTOFF + timedelta(days=1)
HEADER = "event_id,account_id,event_time,ingested_at,endpoint,method,status,latency_ms,token,user_id,sdk,sdk_version"
CREATED = "account_id,created_at,known_at\na,2025-12-01T00:00:00Z,2025-12-01T00:00:00Z\n"

# Few values, so that ids, rows and times meet; the last day arrives before and after the grace is over.
events = st.lists(
    st.tuples(
        st.sampled_from(["", "", "e1", "e2"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["2026-01-05T00:00:00Z", "2026-01-20T23:59:59Z", "2026-02-01T12:00:00Z"]),
        st.sampled_from(["2026-02-01T12:00:01Z", "2026-02-02T05:59:59Z", "2026-02-02T06:00:00Z"]),
        st.sampled_from(["/v1/orders/1", "/v1/orders/2", "/v1/me"]),
        st.sampled_from(["GET", "POST"]),
        st.sampled_from(["", "200", "404", "500"]),
        st.sampled_from(["", "0", "12.5"]),
        st.sampled_from(["k1", "k2"]),
        st.sampled_from(["", "u1"]),
        st.sampled_from(["python", "go"]),
        st.just("1.0"),
    ).map(",".join),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def without_events(tmp_path_factory):
    """A home that knows an account and has a key."""
    folder = tmp_path_factory.mktemp("without-events")
    (folder / "accounts.csv").write_text(CREATED)
    ingest(Home(load_settings(home=folder / "home", threads=1)), now=NOW, accounts=[folder / "accounts.csv"])
    return folder / "home"


def features_of(folder, without_events, *files):
    """Every feature table of events given file by file, each in an ingest of its own."""
    settings = load_settings(home=linked(without_events, folder / "home"), threads=1)
    for number, lines in enumerate(files):
        (folder / f"{number}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
        ingest(Home(settings), now=NOW, events=[folder / f"{number}.csv"])
    roll_up(Home(settings))
    build(Home(settings), [CUTOFF], now=NOW)
    store = ManifestStore(settings.home / "features")
    return {
        partition: pq.ParquetFile(path).read().to_pandas().sort_values("account_id", ignore_index=True)
        for partition in store.manifest().partitions
        for path in store.files(partition)
    }


@pytest.mark.slow
@given(events, st.data())
@hypothesis_settings(
    max_examples=6,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes seconds: shrinking would take for ever
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_repetition_and_split_gives_equal_feature_tables(tmp_path_factory, without_events, made, data):
    again = data.draw(st.lists(st.sampled_from(made), max_size=3))
    shuffled = data.draw(st.permutations(made + again))
    cut = data.draw(st.integers(0, len(shuffled)))
    folder = tmp_path_factory.mktemp("order")
    one = features_of(folder / "one", without_events, made)
    other = features_of(folder / "other", without_events, shuffled[:cut], shuffled[cut:])
    assert one.keys() == other.keys()
    for partition, rows in one.items():
        pd.testing.assert_frame_equal(rows, other[partition], rtol=1e-9, obj=partition)
