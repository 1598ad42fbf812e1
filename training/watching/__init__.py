"""Whether what was learnt still holds: drift, data quality, audit, registry checks."""
