"""From feature rows to scores with status, bands and reasons in words."""
