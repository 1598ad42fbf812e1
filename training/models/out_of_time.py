"""Out-of-time scores: what models that had not seen them foretold of past rows, kept with the bundle as a table."""

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from training.models import bundle as bundles
from training.models.bundle import OUT_OF_TIME

__all__ = ["SCHEMA", "as_parquet", "out_of_time"]


SCHEMA = pa.schema(
    {
        "account_id": pa.string(),
        "cutoff": pa.timestamp("us", tz="UTC"),
        "probability": pa.float64(),
        "fitted_until": pa.timestamp("us", tz="UTC"),
    }
)
"""One row per judged account and cutoff. ``fitted_until`` is the last cutoff of the model that foretold it."""


def as_parquet(scores: pd.DataFrame) -> bytes:
    """The table as the bundle keeps it."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(scores, schema=SCHEMA, preserve_index=False), file, compression="zstd")
    return file.getvalue()


def out_of_time(folder: Path, *, sha256: str) -> pd.DataFrame | None:
    """The scores kept with a bundle, verified, ordered by cutoff and account; None for a bundle of an earlier version.

    Raises
    ------
    BundleError
        When the bundle is not the one that was registered.
    """
    data = bundles.content(folder, sha256=sha256).get(OUT_OF_TIME)
    if data is None:
        return None
    frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas()
    return frame
