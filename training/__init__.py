"""Learns from features: labels, models, evaluation, registry."""
