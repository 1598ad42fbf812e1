"""One module per feature group: pure Ibis, rollups and cutoffs in, one row per account and cutoff out."""
