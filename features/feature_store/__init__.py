"""The only door to Feast."""
