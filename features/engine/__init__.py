"""Runs Ibis expressions on DuckDB or Spark; knows no settings."""
